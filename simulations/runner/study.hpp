// How many seeds each strategy needs to find each planted bug: the honest measure of what the
// simulations can find.
#pragma once

#include "simulations/kernel/strategy.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations {

struct study_options {
  std::vector<std::string> mutants;
  std::vector<strategy_kind> strategies = {strategy_kind::fifo,    strategy_kind::random,
                                           strategy_kind::pct,     strategy_kind::delay,
                                           strategy_kind::overlap, strategy_kind::portfolio};
  uint64_t first_seed = 1;
  uint64_t seeds_max = 500; // per mutant and strategy
  std::function<bool()> stop;
  std::function<void(std::string_view mutant, strategy_kind kind)> progress;
};

// Runs everything that one seed means (all scenarios, say) with the bug switched on; the invariant
// that told it, or nothing. An empty name is the program without a bug.
using mutant_run = std::function<std::optional<std::string>(const std::string& mutant,
                                                            strategy_kind kind, uint64_t seed)>;

struct study_cell {
  uint64_t seeds = 0;    // tried, the finding one included
  std::string invariant; // that told it; empty: not found
  bool found() const { return !invariant.empty(); }
};
struct study_row {
  std::string mutant;
  std::vector<study_cell> cells; // by strategy
  bool found() const;            // by any
};
struct study_table {
  std::vector<strategy_kind> strategies;
  std::vector<study_row> rows;
  uint64_t seeds_max = 0;
  bool complete = true; // false: stopped
};

// One cell. With options.stop it may end early, as if there were no more seeds.
study_cell look_for(const std::string& mutant, strategy_kind kind, const study_options& options,
                    const mutant_run& run);
// All of them, one after the other.
study_table study(const study_options& options, const mutant_run& run);

std::string study_markdown(const study_table& what);
std::string study_json(const study_table& what);

} // namespace troupe::simulations
