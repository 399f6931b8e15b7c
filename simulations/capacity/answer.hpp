// How many nodes, and how many copies of each expert: the fewest nodes that serve the load within
// the objective, for every number of copies, and what failures then cost.
#pragma once

#include "simulations/capacity/availability.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace troupe::simulations::capacity {

struct answer_options {
  uint32_t copies_max = 2;
  double availability = 0.999; // of `served`
  availability_options sampling;
  std::function<void(const std::string&)> tell; // what is being tried
};

// One thing that was tried.
struct candidate {
  uint32_t nodes = 0, copies = 1, replicas = 0;
  double share = 0; // of the requests within the objective
  bool meets = false;
  std::string why_not; // it could not be run
  run_result result;
};

struct answer_choice {
  uint32_t nodes = 0, copies = 1;
  availability_result availability;
  bool meets = false; // load and availability
};

struct answer {
  std::vector<candidate> tried;       // in the order of trying
  std::vector<answer_choice> choices; // at most one for each number of copies
  std::optional<size_t> best; // of the choices: fewest nodes among those that meet everything
};

// Fails with `cancelled`, or when the model fits nowhere.
result<answer> find_answer(const study& of, const answer_options& options);

} // namespace troupe::simulations::capacity
