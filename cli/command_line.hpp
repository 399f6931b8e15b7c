// The words of the command line, turned into a command and what is assigned to its options.
#pragma once

#include "cli/setting_source.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

struct parsed_line {
  command* chosen = nullptr; // null: help or version was asked for
  bool wants_help = false;   // of the chosen command, or of the program
  bool wants_version = false;
  std::vector<assignment> assignments;
};

// `words`: without the program's name. Unknown flags and commands are errors with the nearest name.
result<parsed_line> parse_line(const std::vector<std::string>& words, const command_list& commands);

// The last value of an option given on the line; empty when it was not.
std::string value_of(const parsed_line& line, std::string_view option);

} // namespace troupe::cli
