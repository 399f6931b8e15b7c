// Who plays which role in one placement epoch. Immutable; every part holds the one it was wired
// with. A part on another node is addressed through this node's gateway.
#pragma once

#include "actors/attention_stage.hpp"
#include "actors/expert_shard.hpp"
#include "actors/gating_router.hpp"
#include "actors/ingress.hpp"
#include "actors/kv_cache_manager.hpp"
#include "actors/sequencer.hpp"
#include "dataflow/ids.hpp"
#include "schemas/cluster_messages.hpp"

#include <vector>

namespace troupe::actors {

// A part and where it is.
template <class Handle>
struct placed {
  Handle handle; // null: nobody plays the role in this epoch
  schemas::node_index node = 0;
  bool remote = false;
};

struct route_table {
  std::vector<schemas::member> members; // by node
  std::vector<actors::ingress> doors;   // by node; null: not in this epoch
  placed<actors::sequencer> sequencer;
  actors::kv_cache_manager kv_cache_manager; // where the sequencer is; null elsewhere
  std::vector<placed<attention_stage>> stages;
  std::vector<gating_router> routers;                    // one per stage
  std::vector<std::vector<placed<expert_shard>>> shards; // copies, the one to ask first first
  pipeline_watcher supervisor;

  const actors::ingress& door(dataflow::request_id request) const {
    return doors[dataflow::door_of(request)];
  }
};

} // namespace troupe::actors
