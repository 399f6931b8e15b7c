// One simulated run: what goes in, what comes out. Everything the commands do (sweeps, replay,
// shrinking, mutants) is made of calls to run_once.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "simulations/faults/fault_plan.hpp"
#include "simulations/faults/scenario.hpp"
#include "simulations/kernel/strategy.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace troupe::simulations {

struct run_spec {
  scenario what;
  uint64_t seed = 0;
  std::optional<fault_plan> plan; // absent: the one the seed expands to
  strategy_options strategy;
  bool log_draws = false;
  size_t tail_events = 200;
  bool record_messages = false; // for the space-time diagram
};

struct violation {
  std::string invariant; // "S2"
  std::string what;
  time_point when{}; // virtual
};

// One frame between machines, for the diagram.
struct message_mark {
  uint32_t from = 0, to = 0;
  time_point sent{}, arrived{}; // arrived == time_point{}: never
  std::string what;
};
struct node_mark {
  uint32_t node = 0;
  time_point when{};
  std::string what; // "crash", "epoch 4", "paused", …
};

struct recovery {
  duration detect{};  // failure to the decision of a new epoch
  duration decide{};  // … to its agreement
  duration restore{}; // … to everybody ready
  duration refill{};  // … to the next token of the last stream that stood still
};

struct run_result {
  uint64_t seed = 0;
  uint64_t hash = 0;
  uint64_t events = 0;
  duration virtual_time{};
  std::vector<violation> violations;              // empty: passed
  fault_plan plan;                                // what was injected
  strategy_kind strategy = strategy_kind::random; // after resolve()
  std::map<std::string, uint64_t> faults;         // by id, injected
  std::map<std::string, uint64_t> probes;         // by name, hits
  std::vector<recovery> recoveries;
  uint64_t streams = 0, streams_failed = 0, tokens = 0, tokens_recomputed = 0, epochs = 0;
  std::deque<std::string> tail;       // the last events
  std::vector<uint64_t> event_hashes; // with log_draws
  std::vector<message_mark> messages; // with record_messages
  std::vector<node_mark> marks;
};

run_result run_once(const run_spec& spec);

} // namespace troupe::simulations
