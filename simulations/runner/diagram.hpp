// A run as a picture: a lane per node, time downwards, frames as arrows, and what happened to the
// nodes beside their lanes.
#pragma once

#include "simulations/runner/run.hpp"

#include <cstddef>
#include <string>

namespace troupe::simulations {

struct diagram_options {
  size_t messages_max = 400; // the last so many
  std::string title;
};

// A whole SVG file. Of a run with record_messages.
std::string space_time_diagram(const run_result& what, const diagram_options& options);

} // namespace troupe::simulations
