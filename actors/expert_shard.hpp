// Protocol of an expert shard: a set of experts, in every layer that has experts, on one device.
#pragma once

#include "actors/wiring.hpp"
#include "base/trace.hpp"
#include "compute/executor.hpp"
#include "dataflow/pipeline.hpp"

namespace troupe::model {
struct description;
struct model_weights;
} // namespace troupe::model

namespace troupe::actors {

class step_pool;
struct expert_carriage; // actors/carriage.hpp

// From a gating router: rows for this shard, in the slot by its dispatch plan or, between nodes,
// with the message. Answered with `experts_done`.
struct expert_batch {
  uint64_t epoch = 0;
  uint64_t step = 0;
  uint32_t slot = 0;
  uint32_t layer = 0;
  uint32_t stage = 0; // whose router asks
  uint32_t shard = 0;
  uint32_t attempt = 0;               // which copy is asked: 0 is the first
  local_ref<expert_carriage> carried; // null: the rows are in the slot
};

using expert_shard = wired_part::extend<caf::reacts_to<expert_batch>>;

// Everything pointed to outlives the actor.
struct expert_shard_options {
  uint32_t shard = 0;
  const model::description* description = nullptr;
  const model::model_weights* weights = nullptr;
  compute::executor* executor = nullptr;
  step_pool* steps = nullptr;
  troupe::trace* trace = nullptr;
  uint32_t part = 0;
};

expert_shard spawn_expert_shard(caf::actor_system& system, const expert_shard_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, expert_batch& x) {
  return f(caf::meta::type_name("expert_batch"), x.epoch, x.step, x.slot, x.layer, x.stage, x.shard,
           x.attempt, x.carried);
}

} // namespace troupe::actors
