// Framing of server-sent events.
#include "server/sse.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

namespace troupe::server {

std::string sse_event(std::string_view data, uint64_t id) {
  TROUPE_CHECK(data.find_first_of("\r\n") == std::string_view::npos);
  return id == 0 ? text("data: ", data, "\n\n") : text("id: ", id, "\ndata: ", data, "\n\n");
}

} // namespace troupe::server
