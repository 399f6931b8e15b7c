// Hides spdlog: one logger on standard error for the whole process.
#include "base/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <atomic>
#include <memory>

namespace troupe::log {
namespace {

constexpr std::array<std::string_view, 6> names = {"trace", "debug", "info",
                                                   "warn",  "error", "off"};

std::atomic<level> least{level::info};

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("troupe", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_level(spdlog::level::trace);
    made.set_pattern("%H:%M:%S.%e %l %v");
    made.flush_on(spdlog::level::trace);
    return made;
  }();
  return instance;
}

} // namespace

void set_level(level at) {
  least.store(at, std::memory_order_relaxed);
}

level current_level() {
  return least.load(std::memory_order_relaxed);
}

bool parse_level(std::string_view name, level& out) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) {
      out = static_cast<level>(i);
      return true;
    }
  }
  return false;
}

void write(level at, std::string_view line) {
  if (at < current_level() || at == level::off) return;
  logger().log(static_cast<spdlog::level::level_enum>(at),
               spdlog::string_view_t(line.data(), line.size()));
}

} // namespace troupe::log
