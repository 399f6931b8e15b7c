// Framing of server-sent events.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::server {

inline constexpr std::string_view sse_content_type = "text/event-stream; charset=utf-8";
inline constexpr std::string_view sse_done = "data: [DONE]\n\n";
inline constexpr std::string_view sse_ping = ": ping\n\n";

// "data: …\n\n", after an `id:` line when id is not 0. `data` must be one line, as dumped JSON is.
std::string sse_event(std::string_view data, uint64_t id = 0);

} // namespace troupe::server
