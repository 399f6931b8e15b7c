// From words to a finished command: the command line is read, settings are gathered, the command
// runs.
#pragma once

#include "cli/program.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

// Chooses the command, applies configuration file < environment < flags, and runs it. The exit
// code.
int run_program(program& context, const std::vector<std::string>& words);

} // namespace troupe::cli
