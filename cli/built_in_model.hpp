// Where the model that comes with the program is.
#pragma once

#include "base/status.hpp"
#include "storage/file_system.hpp"

#include <string>

namespace troupe::cli {

// `executable`: absolute path of the running program. Looks for models/tales in the source tree the
// program was built in (build/PRESET/bin) and in share/troupe of where it is installed.
result<std::string> find_built_in_model(const storage::file_system& files,
                                        const std::string& executable);

// Absolute path of the running program; empty when the system does not tell.
std::string executable_path();

} // namespace troupe::cli
