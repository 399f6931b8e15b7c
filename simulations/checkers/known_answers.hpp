// What the tiny model has always answered. The oracle is made of production code itself: what both
// get wrong alike, or another machine computes otherwise, shows only here.
#pragma once

#include "simulations/checkers/oracle.hpp"

#include <cstdint>

namespace troupe::simulations {

// Of the answers of the tiny model of every run to a fixed set of requests. It changes when the
// model, these requests (workload/requests.cpp) or what a request means changes on purpose; then
// the test of this file tells the new one.
inline constexpr uint64_t known_answers = 0x815495ea46e2c56f;

// Over tokens, log-probabilities bit by bit, texts, ends and counts.
uint64_t fingerprint_of_answers(oracle& right);

} // namespace troupe::simulations
