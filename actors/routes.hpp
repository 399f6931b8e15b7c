// Who plays which role in one placement epoch. Immutable; every part holds the one it was wired
// with.
#pragma once

#include "actors/attention_stage.hpp"
#include "actors/expert_shard.hpp"
#include "actors/gating_router.hpp"
#include "actors/ingress.hpp"
#include "actors/kv_cache_manager.hpp"
#include "actors/sequencer.hpp"

#include <vector>

namespace troupe::actors {

struct route_table {
  actors::ingress ingress;
  actors::sequencer sequencer;
  actors::kv_cache_manager kv_cache_manager;
  std::vector<attention_stage> stages;
  std::vector<gating_router> routers; // one per stage
  std::vector<expert_shard> shards;
  wired_sink supervisor;
};

} // namespace troupe::actors
