// Many seeds of some scenarios: which runs there are, how each is judged, and what they add up to.
// Pure; processes and terminals are the caller's.
#pragma once

#include "base/clock.hpp"
#include "simulations/faults/plan_text.hpp"
#include "simulations/runner/invariants.hpp"
#include "simulations/runner/run.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations {

using run_function = std::function<run_result(const run_spec&)>;

enum class determinism_check : uint8_t { none, some, all }; // some: one seed in twenty

// "1..2000", both included, or a single number.
struct seed_range {
  uint64_t first = 1, last = 1;
};
result<seed_range> parse_seeds(std::string_view text);

struct sweep_options {
  std::vector<scenario> scenarios;
  seed_range seeds;
  strategy_options strategy;
  determinism_check determinism = determinism_check::some;
};

// The n-th run of the sweep: every scenario with every seed; all scenarios meet a seed before the
// next one.
struct sweep_item {
  size_t scenario = 0; // its place in the options
  uint64_t seed = 0;
};
uint64_t runs_of(const sweep_options& options);
sweep_item item_of(const sweep_options& options, uint64_t n);

bool runs_twice(uint64_t seed, determinism_check check);

// Compares the violations with what the scenario expects: those it wants are no failure, and having
// none of them is one (EXPECT).
void judge(const scenario& about, run_result& out);

// One run with everything that belongs to it: judged, and, when it is to be run twice, compared
// with itself (D1, with the first event that differs).
run_result run_judged(const run_spec& spec, bool twice, const run_function& run);

// The worst of its violations; the first one of several that are equally bad. Null: it passed.
const violation* worst(const run_result& what);

// What is needed to run it again.
plan_file plan_of(const run_spec& spec, const run_result& what);
// FAIL inv=S2 seed=0x2a scenario=node_loss strategy=pct events=5123 vt=1.82s replay="…"
std::string failure_line(const scenario& about, const run_result& what, std::string_view plan_path);

struct sweep_summary {
  uint64_t runs = 0, failed = 0, twice = 0;
  uint64_t events = 0;
  duration virtual_time{};
  uint64_t streams = 0, streams_failed = 0, streams_lost = 0;
  uint64_t tokens = 0, tokens_recomputed = 0, epochs = 0;
  std::map<std::string, uint64_t> faults, probes, violations, strategies;
  std::vector<recovery> recoveries;
  severity worst = severity::passed;
  // Of what every run did, whatever their order: the same seeds on another machine, or built by
  // another compiler, must come to the same one.
  uint64_t digest = 0;

  void add(const run_result& what, bool ran_twice);
};

// Known probes that no run has hit.
std::vector<std::string> probes_missed(const sweep_summary& what);
// For people; `elapsed` is real time.
std::string summary_text(const sweep_summary& what, duration elapsed);
std::string summary_json(const sweep_summary& what, duration elapsed);

} // namespace troupe::simulations
