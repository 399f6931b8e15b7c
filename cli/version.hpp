// troupe version: what was built, and on request what devices it sees.
#pragma once

#include "cli/command.hpp"

namespace troupe::cli {

std::unique_ptr<command> make_version();

// "troupe 0.1.0"
std::string version_text();

} // namespace troupe::cli
