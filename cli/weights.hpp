// troupe weights list, add, promote, rollback and prune.
#pragma once

#include "cli/command.hpp"
#include "cli/program.hpp"
#include "storage/weights_registry.hpp"

#include <string>

namespace troupe::cli {

// The folder of published weights, with the machine's own files and disks behind it.
storage::weights_registry weights_registry_of(program& context, const std::string& folder);

void add_weights_commands(command_list& out);

} // namespace troupe::cli
