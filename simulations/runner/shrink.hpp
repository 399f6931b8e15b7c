// From a plan that fails to a small one that fails in the same way: fewer faults (delta debugging;
// Zeller, Hildebrandt, "Simplifying and isolating failure-inducing input", TSE 2002), shorter and
// milder ones, fewer nodes and requests, the plainest strategy. In the end no fault can be left
// out.
#pragma once

#include "base/status.hpp"
#include "simulations/faults/plan_text.hpp"
#include "simulations/runner/sweep.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations {

// A smallest list of places (in their order) for which `fails` is still true: leaving out any one
// of them makes it false. `fails` must be true for all places. Calls it about n log n times for
// short results.
std::vector<size_t> minimise(size_t count,
                             const std::function<bool(const std::vector<size_t>&)>& fails);

struct shrink_options {
  uint64_t runs_max = 3000; // for making things smaller; proving that no fault can go is on top
  std::function<void(std::string_view step, uint64_t runs)> progress; // may be empty
  std::function<bool()> stop;                                         // may be empty
};

struct shrink_outcome {
  plan_file plan;
  run_result last; // of that plan, with its tail, messages and marks
  uint64_t runs = 0;
  size_t faults_before = 0;
  uint64_t events_before = 0;
  bool minimal = true; // false: stopped before it was proved
};

// The plan must fail; with an `invariant` of its own it must fail in that one.
result<shrink_outcome> shrink(const plan_file& from, const shrink_options& options,
                              const run_function& run);

run_spec spec_of(const plan_file& plan);

} // namespace troupe::simulations
