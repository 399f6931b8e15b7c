// What the environment must hold before a program with UCX starts: the library reads it, installs
// signal handlers and patches memory functions before main() runs, so setting it there is too late.
// A program that is linked with this starts itself anew before any library begins, where the
// system's dynamic linker lets it (glibc).
#pragma once

#include "base/status.hpp"

#include <array>
#include <span>
#include <string>
#include <vector>

namespace troupe::transport {

struct environment_variable {
  const char* name;
  const char* value;
  const char* why;
};

// Variables that a user has set to something else are left alone.
std::span<const environment_variable> ucx_environment();

// The names of those that are not set.
std::vector<std::string> missing_ucx_environment();

// Sets what is missing and starts the program anew by /proc/self/exe with the same arguments; then
// it does not return. It returns ok when nothing is missing, and a failure when the program could
// not be started anew (or was, and still misses something): the caller may go on, with the handlers
// of UCX. For the first line of main(): threads and open files are lost. `arguments` as main() got
// them.
status prepare_ucx_environment(char** arguments);

} // namespace troupe::transport
