// troupe-mutants check: every planted bug is told by the runs recorded for it, and without a bug
// the same runs pass.
#pragma once

#include "cli/command.hpp"

#include <memory>

namespace troupe::mutants {

std::unique_ptr<cli::command> make_check();

} // namespace troupe::mutants
