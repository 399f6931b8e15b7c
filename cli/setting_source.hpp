// Where settings come from: configuration file < environment < command line. Each source becomes a
// list of assignments; applying them in that order is the precedence.
#pragma once

#include "base/status.hpp"
#include "cli/command.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

struct assignment {
  std::string
      section;      // table of the file it stood in; empty: for every command that has the setting
  std::string name; // of the option
  std::vector<std::string> values;
  std::string origin;  // "command line", "environment", "troupe.toml:3:8"
  std::string spelled; // the name as it was written there: "--port", "TROUPE_PORT", "port"
};

using environment_variables = std::map<std::string, std::string>;

// Reads a configuration file. Unknown keys and tables are errors with the nearest name.
result<std::vector<assignment>> read_config(std::string_view toml, const std::string& file,
                                            const command_list& commands);

// TROUPE_* variables. Unknown ones are errors; empty ones count as unset.
result<std::vector<assignment>> read_environment(const environment_variables& variables,
                                                 const command_list& commands);

// What the variable is for other programs of this project, or set by Kubernetes for a service.
bool is_foreign_variable(std::string_view name, std::string_view value);

// Gives the command's options the values that are meant for it.
status assign_all(command& target, const std::vector<assignment>& assignments);

// Every option name that some command takes from files and the environment.
std::vector<std::string> configurable_names(const command_list& commands);

// The command's settings in effect as TOML, with comments that say where each came from.
std::string dump_config(command& source);

} // namespace troupe::cli
