// A run as a file: scenario, seed, strategy and every fault, with what is expected of it. Made when
// a run fails; to be read, edited and run again.
#pragma once

#include "base/status.hpp"
#include "simulations/faults/fault_plan.hpp"
#include "simulations/faults/scenario.hpp"
#include "simulations/kernel/strategy.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::simulations {

inline constexpr int64_t plan_format = 1;

struct plan_file {
  scenario about;
  uint64_t seed = 0;
  strategy_options strategy;
  fault_plan plan;
  // What the run that it was made of ended with.
  std::string invariant;        // empty: it passed
  std::optional<uint64_t> hash; // of its events
  friend bool operator==(const plan_file& a, const plan_file& b);
};

// Errors name the file, line and key. Every fault must be in the catalogue with settings it knows.
result<plan_file> parse_plan(std::string_view text, std::string_view file);
// parse_plan(write_plan(x)) is x, and writing that gives the same text.
std::string write_plan(const plan_file& what);

// One line: "F03 node_crash at 312ms of n2, restart_after_ms 300".
std::string describe(const fault& what);

// "0x1f" or digits.
result<uint64_t> parse_seed(std::string_view text);
std::string seed_text(uint64_t seed); // "0x1f"

} // namespace troupe::simulations
