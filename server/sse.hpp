// Framing of server-sent events.
#pragma once

#include <string>
#include <string_view>

namespace troupe::server {

inline constexpr std::string_view sse_content_type = "text/event-stream; charset=utf-8";
inline constexpr std::string_view sse_end_mark = "[DONE]"; // the data of the last event
inline constexpr std::string_view sse_ping = ": ping\n\n";

// "data: …\n\n", after an `id:` line unless the id is empty. Each must be one line, as dumped JSON
// is.
std::string sse_event(std::string_view data, std::string_view id = "");

} // namespace troupe::server
