// A run told to people: what was done to it, what went wrong, and what happened last.
#pragma once

#include "simulations/faults/plan_text.hpp"
#include "simulations/runner/run.hpp"

#include <string>

namespace troupe::simulations {

struct explanation_options {
  bool timeline = true;
  size_t tail_max = 30; // of the last events
};

// Of a replay of the plan: whether it ended as the plan says, violations, faults, the timeline of
// the nodes, the last events.
std::string explain(const plan_file& plan, const run_result& what,
                    const explanation_options& options);

// Whether the run did what the plan recorded: the same invariant broken (or none), and, when the
// plan has one, the same hash.
bool reproduced(const plan_file& plan, const run_result& what);

} // namespace troupe::simulations
