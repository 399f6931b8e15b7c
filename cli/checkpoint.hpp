// troupe checkpoint list, verify, export, restore and prune.
#pragma once

#include "cli/command.hpp"

namespace troupe::cli {

void add_checkpoint_commands(command_list& out);

} // namespace troupe::cli
