// From a scenario and a seed to an explicit plan: who is hit when, by what, and how hard.
#pragma once

#include "simulations/faults/fault_plan.hpp"
#include "simulations/faults/scenario.hpp"

#include <cstdint>

namespace troupe::simulations {

// A pure function. Every draw belongs to one antagonist (by its fault's id and how many of the same
// id stand before it) and one of its faults, so another antagonist more or less, or another count,
// changes none of the other faults. In order of their times; those that wait for probes come last.
fault_plan expand(const scenario& what, uint64_t seed);

} // namespace troupe::simulations
