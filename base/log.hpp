// Logging for people: one line an event, lower case, `name value`, on standard error.
// error = cannot go on as asked, warn = surprising but went on, info = once per lifecycle step,
// debug grows with objects, trace with messages. Secrets and prompts never reach a log line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::log {

enum class level : uint8_t { trace, debug, info, warn, error, off };

// Lines below `least` are dropped. Any thread.
void set_level(level least);
level current_level();
// "trace", "debug", …; false when the name is none of them.
bool parse_level(std::string_view name, level& out);

// Writes one line. Any thread; never throws.
void write(level at, std::string_view line);

inline void debug(std::string_view line) {
  write(level::debug, line);
}
inline void info(std::string_view line) {
  write(level::info, line);
}
inline void warn(std::string_view line) {
  write(level::warn, line);
}
inline void error(std::string_view line) {
  write(level::error, line);
}

} // namespace troupe::log
