// Framing of server-sent events.
#include "server/sse.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

namespace troupe::server {

std::string sse_event(std::string_view data, std::string_view id) {
  TROUPE_CHECK(data.find_first_of("\r\n") == std::string_view::npos);
  TROUPE_CHECK(id.find_first_of("\r\n") == std::string_view::npos);
  return id.empty() ? text("data: ", data, "\n\n") : text("id: ", id, "\ndata: ", data, "\n\n");
}

} // namespace troupe::server
