// Names of the status codes, context for failures, and the end of a failed check.
#include "base/status.hpp"

#include <cstdio>
#include <cstdlib>

namespace troupe {

void check_failed(const char* file, int line, const char* expression) {
  std::fprintf(stderr, "troupe: check failed at %s:%d: %s\n", file, line, expression);
  std::fflush(stderr);
  std::abort();
}

std::string_view to_string(status_code code) {
  switch (code) {
    case status_code::ok:
      return "ok";
    case status_code::invalid_argument:
      return "invalid_argument";
    case status_code::not_found:
      return "not_found";
    case status_code::corrupt:
      return "corrupt";
    case status_code::unavailable:
      return "unavailable";
    case status_code::exhausted:
      return "exhausted";
    case status_code::timed_out:
      return "timed_out";
    case status_code::device_lost:
      return "device_lost";
    case status_code::unsupported:
      return "unsupported";
    case status_code::cancelled:
      return "cancelled";
  }
  return "unknown";
}

status status::within(std::string_view context) const {
  TROUPE_CHECK(!ok());
  return status(code_, std::string(context) + ": " + why_);
}

} // namespace troupe
