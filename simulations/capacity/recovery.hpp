// What it takes until a replica serves again after a failure: noticing it, agreeing on a new
// placement, and getting weights to where they are needed. The fourth part, recomputing KV pages,
// is simulated like other work.
#pragma once

#include "simulations/capacity/failure_model.hpp"
#include "simulations/capacity/system_plan.hpp"

#include <cstdint>
#include <vector>

namespace troupe::simulations::capacity {

struct recovery_options {
  dataflow::cluster_timing timing;
  bool restore_from_peer = false; // weights come over the network from a node that has them
  double decide_ms = 20;          // applying a new epoch on every node, besides the messages
};

struct recovery_times {
  nanoseconds detect = 0, decide = 0, restore = 0;
  nanoseconds sum() const { return detect + decide + restore; }
};

// From the moment of the failure until some node knows. `part_of_gap` (0 to 1): how long ago the
// last report came. Silence is judged by dataflow::phi_detector after steady reports; a hang by the
// limit on a step; a lost device reports itself.
nanoseconds detection_time(const failure_event& failure, const dataflow::cluster_timing& timing,
                           double part_of_gap);

nanoseconds decision_time(const system_plan& plan, const recovery_options& options);

// Loading what the new placement needs before a step can run: stages that moved and shards whose
// first copy is on a node that had none. Further copies load while the replica serves.
nanoseconds restore_time(const system_plan& plan, const recovery_options& options,
                         const dataflow::placement& before, const dataflow::placement& after);

// Repeats the production planner until nothing moves any more.
dataflow::placement settled_placement(const system_plan& plan, const dataflow::placement& current,
                                      const std::vector<bool>& serving);

// Whether steps run through this node: it has the sequencer, a stage or the first copy of a shard.
bool works(const dataflow::placement& where, dataflow::node_index node);

} // namespace troupe::simulations::capacity
