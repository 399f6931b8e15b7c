// Help texts, made from the commands and their options.
#pragma once

#include "cli/command.hpp"

#include <string>

namespace troupe::cli {

// Columns that help is broken to.
inline constexpr size_t help_columns = 100;

std::string program_help(const command_list& commands);
std::string command_help(command& of);

} // namespace troupe::cli
