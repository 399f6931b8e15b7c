// What every node of a cluster is configured with, equal on all of them.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "dataflow/pipeline.hpp"
#include "schemas/cluster_messages.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::dataflow {

using schemas::cluster_state;
using schemas::no_node;
using schemas::node_index;
using schemas::node_report;

// What the parts of a model need on the node that plays them: weights, and the KV pages of a stage.
struct part_bytes {
  uint64_t sequencer = 0;
  std::vector<uint64_t> stages = {};
  std::vector<uint64_t> shards = {}; // of one copy
};

struct cluster_layout {
  std::vector<std::string> nodes; // names; a node is known by its place in this list
  uint32_t voters = 1;            // the first so many keep the register; a majority decides
  uint32_t stages = 1;
  uint32_t shards = 1;
  uint32_t shard_copies = 1; // wanted; fewer when there are fewer nodes
  // Hot shards may have up to so many (load_balance.hpp); 0: shard_copies, so that load is ignored.
  uint32_t shard_copies_max = 0;
  // From the model:
  uint32_t layers = 0;
  uint32_t experts = 0;  // 0: a dense model, which has no shards
  part_bytes bytes = {}; // empty lists: not known, and memory is no matter

  // No voters at all: the state is agreed on in a store outside the cluster (cluster_node sees to
  // that), and nothing waits for a majority.
  uint32_t majority() const { return voters == 0 ? 0 : voters / 2 + 1; }
  bool is_voter(node_index node) const { return node < voters; }
  bool weighs_load() const { return shard_copies_max > shard_copies; }
  std::optional<node_index> index_of(const std::string& name) const;
};
// The message names the field, its value and the range.
status validate(const cluster_layout& layout);
// Tells layouts apart of which one cannot go on from a state of the other. Voters and copies of
// shards make no difference.
uint64_t fingerprint(const cluster_layout& layout);

struct cluster_timing {
  duration report_every = std::chrono::milliseconds(100);
  // A peer is suspected when a report is later than this many standard deviations allow, see
  // phi_detector.
  uint32_t suspect_phi = 8;
  duration pause_allowed = std::chrono::milliseconds(300); // on top: hiccups that are no failure
  duration silence_max = std::chrono::seconds(10);         // then it is down whatever phi says
  // A peer whose connection has ended is suspected this much later, unless it is heard meanwhile.
  duration reconnect_allowed = std::chrono::milliseconds(50);
  duration vote_timeout = std::chrono::milliseconds(200); // for an answer of a majority
  // A node that was excluded comes back not before; doubles with every exclusion. (Each readmission
  // costs an epoch, a few hundred milliseconds: at most a few percent of the time.)
  duration readmit_first = std::chrono::milliseconds(500);
  duration readmit_max = std::chrono::seconds(8);
  duration formation_wait =
      std::chrono::seconds(1); // for nodes that are late when a cluster begins
  duration resend_after = std::chrono::milliseconds(60);   // of a frame not acknowledged
  duration step_max = std::chrono::seconds(2);             // then a step is stuck
  duration reroute_after = std::chrono::milliseconds(400); // then another copy of a shard is asked
  // Since the last epoch, before load alone may be the reason for another one; 0: never.
  duration rebalance_every = std::chrono::seconds(60);
};
status validate(const cluster_timing& timing);

} // namespace troupe::dataflow
