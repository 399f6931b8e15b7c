// One restart of the program with the environment that UCX needs.
#include "transport/ucx/ucx_environment.hpp"

#include "base/text.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace troupe::transport {
namespace {

constexpr std::array<environment_variable, 5> needed = {{
    {"UCX_ERROR_SIGNALS", "", "no handlers for crash signals: core dumps and exit codes stay true"},
    {"UCX_MEM_EVENTS", "n", "mmap and munmap stay as they are; only RDMA registration needs more"},
    {"UCX_WARN_UNUSED_ENV_VARS", "n", "no warnings for variables of other UCX versions"},
    {"UCX_TCP_MAX_NUM_EPS", "inf", "more than 256 links to a network interface"},
    {"UCX_LOG_LEVEL", "error", "peers that come and go are not news of UCX's"},
}};

// Tells the second start from the first, so that there is no third.
constexpr const char* marker = "TROUPE_UCX_ENVIRONMENT";

} // namespace

std::span<const environment_variable> ucx_environment() {
  return needed;
}

std::vector<std::string> missing_ucx_environment() {
  std::vector<std::string> out;
  for (const auto& each : needed)
    if (std::getenv(each.name) == nullptr) out.emplace_back(each.name);
  return out;
}

status prepare_ucx_environment(char** arguments) {
  const auto missing = missing_ucx_environment();
  if (missing.empty()) {
    ::unsetenv(marker); // programs that this one starts decide for themselves
    return {};
  }
  if (std::getenv(marker) != nullptr)
    return status(status_code::unavailable,
                  text("the program was started anew, and ", missing.front(), " is still not set"));
  for (const auto& each : needed) ::setenv(each.name, each.value, 0);
  ::setenv(marker, "1", 1);
  ::execv("/proc/self/exe", arguments);
  return status(status_code::unavailable,
                text("cannot start the program anew: ", std::string_view(strerrordesc_np(errno))));
}

} // namespace troupe::transport
