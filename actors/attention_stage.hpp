// Protocol of an attention stage: attention and dense weights of a range of layers, and the bytes
// of their KV pages.
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
struct step_carriage; // actors/carriage.hpp
struct stage_memory;

// One step through the stage's layers. On one node the sender lends the slot of the step pool;
// between nodes the step itself travels. The last stage answers the sequencer with `forward_done`,
// the others pass it on to the next stage.
struct forward_batch {
  uint64_t epoch = 0;
  uint64_t step = 0;
  uint32_t stage = 0;
  uint32_t slot = 0;
  local_ref<step_carriage> carried; // null: the step is in the slot
};

// From the gating router: the layer's experts have been added to the hidden state.
struct rows_combined {
  uint64_t epoch = 0;
  uint64_t step = 0;
  uint32_t slot = 0;
  uint32_t layer = 0;
};

using attention_stage =
    wired_part::extend<caf::reacts_to<forward_batch>, caf::reacts_to<rows_combined>>;

// Everything pointed to outlives the actor.
struct attention_stage_options {
  uint32_t stage = 0;
  dataflow::layer_range layers;
  const model::description* description = nullptr;
  const model::model_weights* weights = nullptr;
  compute::executor* executor = nullptr;
  step_pool* steps = nullptr;
  stage_memory* memory = nullptr;
  troupe::trace* trace = nullptr;
  uint32_t part = 0;
};

attention_stage spawn_attention_stage(caf::actor_system& system,
                                      const attention_stage_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, forward_batch& x) {
  return f(caf::meta::type_name("forward_batch"), x.epoch, x.step, x.stage, x.slot, x.carried);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, rows_combined& x) {
  return f(caf::meta::type_name("rows_combined"), x.epoch, x.step, x.slot, x.layer);
}

} // namespace troupe::actors
