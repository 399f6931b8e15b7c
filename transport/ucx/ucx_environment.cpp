// One restart of the program with the environment that UCX needs: before any library begins where
// that is possible, else from main().
#include "transport/ucx/ucx_environment.hpp"

#include "base/text.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace troupe::transport {
namespace {

constexpr std::array<environment_variable, 7> needed = {{
    {"UCX_ERROR_SIGNALS", "", "no handlers for crash signals: core dumps and exit codes stay true"},
    {"UCX_DEBUG_SIGNO", "0", "no handler for SIGHUP: nohup means it"},
    {"UCX_MEM_EVENTS", "n", "mmap and munmap stay as they are; only RDMA registration needs more"},
    {"UCX_WARN_UNUSED_ENV_VARS", "n", "no warnings for variables of other UCX versions"},
    {"UCX_TCP_MAX_NUM_EPS", "inf", "more than 256 links to a network interface"},
    {"UCX_TCP_TX_SEG_SIZE", "64K", "one system call for 64 KiB and not for 8; peers take as much"},
    {"UCX_LOG_LEVEL", "error", "peers that come and go are not news of UCX's"},
}};

constexpr const environment_variable* first_needed = &needed[0];

// Tells the second start from the first, so that there is no third.
constexpr const char* marker = "TROUPE_UCX_ENVIRONMENT";

void set_missing() {
  for (const auto& each : needed) ::setenv(each.name, each.value, 0);
}

// -- before any library begins: no library may be called, and no sanitizer is ready

#define TROUPE_BARE __attribute__((no_sanitize("address", "undefined", "thread")))

// Of "NAME=VALUE", whether it is this name.
TROUPE_BARE bool is_variable(const char* entry, const char* name) {
  while (*name != '\0' && *entry == *name) ++entry, ++name;
  return *name == '\0' && *entry == '=';
}

TROUPE_BARE bool is_set(char** environment, const char* name) {
  for (; *environment != nullptr; ++environment)
    if (is_variable(*environment, name)) return true;
  return false;
}

TROUPE_BARE char* assignment(char* into, const char* name, const char* value) {
  char* to = into;
  while (*name != '\0') *to++ = *name++;
  *to++ = '=';
  while (*value != '\0') *to++ = *value++;
  *to = '\0';
  return into;
}

constexpr size_t entries_max = 4096; // with more of them main() starts the program anew
char* entries[entries_max];

// The same start, with the variables that are missing. Whoever has SIGHUP ignored (nohup) has it
// ignored afterwards, which is not so when UCX has begun.
TROUPE_BARE void start_anew(int, char** arguments, char** environment) {
  static char assignments[needed.size() + 1][64];
  size_t count = 0, missing = 0;
  if (is_set(environment, marker)) return;
  for (char** from = environment; *from != nullptr; ++from) {
    if (count + needed.size() + 2 >= entries_max) return;
    entries[count++] = *from;
  }
  for (size_t n = 0; n < needed.size(); ++n) {
    const environment_variable* const each = first_needed + n;
    if (is_set(environment, each->name)) continue;
    entries[count++] = assignment(assignments[missing++], each->name, each->value);
  }
  if (missing == 0) return;
  entries[count++] = assignment(assignments[missing], marker, "1");
  entries[count] = nullptr;
  ::syscall(SYS_execve, "/proc/self/exe", arguments, entries);
}

} // namespace

// The dynamic linker calls what stands here before it begins the libraries, UCX among them. (Only
// in a program's own code; System V ABI, "Initialization and Termination Functions".) The build
// makes every program that is linked with UCX ask for it by name.
extern "C" {
extern void (*const troupe_before_libraries)(int, char**, char**);
[[gnu::section(".preinit_array"),
  gnu::used]] void (*const troupe_before_libraries)(int, char**, char**) = start_anew;
}

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
  set_missing();
  ::setenv(marker, "1", 1);
  ::execv("/proc/self/exe", arguments);
  return status(status_code::unavailable,
                text("cannot start the program anew: ", std::string_view(strerrordesc_np(errno))));
}

} // namespace troupe::transport
