// troupe model synth: writes a checkpoint with random weights in a named shape.
#pragma once

#include "cli/command.hpp"

namespace troupe::cli {

std::unique_ptr<command> make_synth();

} // namespace troupe::cli
