// A folder that a command is about to fill.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <string>

namespace troupe::cli {

// A folder of that name with something in it may be somebody's model. And what will not fit is
// refused before the first hour of work.
status check_new_folder(const std::string& folder, uint64_t bytes);

} // namespace troupe::cli
