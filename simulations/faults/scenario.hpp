// What a simulated run is about: a cluster, a workload, antagonists, and what is expected of it. A
// text file (TOML); every key has a default, and unknown ones are errors.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations {

struct scenario_cluster {
  uint32_t nodes = 5;
  uint32_t voters = 3;
  uint32_t stages = 2;
  uint32_t shards = 4;
  uint32_t shard_copies = 2;
  uint32_t shard_copies_max = 0; // of hot shards, which are looked for twice a second; 0: never
  // Of devices, one beside another, node after node and then from the first again; none: all equal.
  std::vector<uint32_t> node_speeds = {};
  uint32_t doors = 0; // nodes that take clients: the first so many; 0: all
  uint32_t sequences_max = 16;
  uint32_t queue_max = 64;
  uint32_t kv_pages = 0; // for all sequences together; 0: enough for sequences_max of any length
  friend bool operator==(const scenario_cluster&, const scenario_cluster&) = default;
};

struct scenario_workload {
  uint32_t requests = 8;
  duration over = std::chrono::milliseconds(600); // arrivals are spread over this
  uint32_t prompt_tokens_min = 4, prompt_tokens_max = 24;
  uint32_t answer_tokens_min = 4, answer_tokens_max = 12;
  uint32_t choices_max = 2;            // n of a request is 1 .. this
  uint32_t shared_prefix_percent = 30; // requests that begin like another one
  uint32_t cancel_percent = 5;         // leave in the middle
  uint32_t greedy_percent = 25;        // temperature 0
  uint32_t logprobs_percent = 30;      // whose logits are compared bit by bit
  uint32_t stop_percent = 10;          // with a stop text
  uint32_t priority_percent = 25;      // that are not of the usual priority
  uint32_t salt_percent = 15;          // that share cached pages with few others, or none
  uint32_t deadline_percent = 0;       // that are worth nothing after …
  duration deadline_max = std::chrono::seconds(2); // … at most this long
  duration patience = std::chrono::seconds(3);     // without an event a client goes to another door
  uint32_t retries_max = 100;
  friend bool operator==(const scenario_workload&, const scenario_workload&) = default;
};

// So many faults of one kind, at random times within a window, on random targets; or at the n-th
// hit of a probe.
struct antagonist {
  std::string id; // "F03"
  uint32_t count_min = 1, count_max = 1;
  duration from = std::chrono::milliseconds(100), until = std::chrono::milliseconds(1500);
  std::string probe = {}; // instead of a time: at one of the first nth_max hits
  uint64_t nth_max = 20;
  std::string target =
      "any"; // any, leader, voter, sequencer, stage, shard, door, idle, or a number
  duration lasts_min{}, lasts_max{}; // 0 .. 0: the catalogue's own range
  std::map<std::string, std::pair<int64_t, int64_t>> settings = {}; // ranges
  uint32_t percent = 100;                                           // of the seeds it takes part in
  friend bool operator==(const antagonist&, const antagonist&) = default;
};

struct scenario_expectation {
  bool explicit_errors = false; // streams may end with an error (never with wrong bytes)
  bool survivable = true;       // the plan spares what the last copy of anything lies on
  std::string fails_with;       // negative ones: the invariant that must be reported, or the
                                // status every stream must end with
  duration settle = std::chrono::seconds(30); // after the last fault everything ends within this
  bool core_only = false; // liveness phase: a random majority core is healed, the rest
                          // stays dead or cut off for ever
  friend bool operator==(const scenario_expectation&, const scenario_expectation&) = default;
};

struct scenario {
  std::string name;
  std::string about; // one line
  scenario_cluster cluster;
  scenario_workload workload;
  std::vector<antagonist> antagonists;
  scenario_expectation expect;
  friend bool operator==(const scenario&, const scenario&) = default;
};

// Errors name the file, the key and what would be right.
result<scenario> parse_scenario(std::string_view text, std::string_view file);
std::string write_scenario(const scenario& what);

// The scenarios of this program, by name, sorted.
struct built_in_scenario {
  std::string_view name;
  std::string_view text;
};
const std::vector<built_in_scenario>& built_in_scenarios();

} // namespace troupe::simulations
