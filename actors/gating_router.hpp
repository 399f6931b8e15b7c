// Protocol of a gating router: chooses experts for token rows, sends the rows to the expert shards,
// and combines what comes back in routing order, never in order of arrival.
#pragma once

#include "actors/wiring.hpp"
#include "base/clock.hpp"
#include "base/trace.hpp"
#include "compute/executor.hpp"
#include "dataflow/pipeline.hpp"

namespace troupe::model {
struct description;
struct model_weights;
} // namespace troupe::model

namespace troupe::actors {

class metrics_board;
class step_pool;
struct row_block;

// From the attention stage: the normed rows of the slot are ready for this layer's experts.
// Answered with `rows_combined`.
struct route_rows {
  uint64_t epoch = 0;
  uint64_t step = 0;
  uint32_t slot = 0;
  uint32_t layer = 0;
};

// From an expert shard: its rows are computed. A copy that was asked in vain may answer late.
struct experts_done {
  uint64_t epoch = 0;
  uint64_t step = 0;
  uint32_t layer = 0;
  uint32_t stage = 0;
  uint32_t shard = 0;
  local_ref<row_block> output; // null: they are in the step's slot
};

using gating_router = wired_part::extend<caf::reacts_to<route_rows>, caf::reacts_to<experts_done>>;

// Everything pointed to outlives the actor.
struct gating_router_options {
  uint32_t stage = 0; // serves the layers of this attention stage
  const model::description* description = nullptr;
  const model::model_weights* weights = nullptr;
  compute::executor* executor = nullptr;
  step_pool* steps = nullptr;
  metrics_board* board = nullptr;
  const clock* time = nullptr;
  troupe::trace* trace = nullptr;
  duration reroute_after{}; // then another copy of a silent shard is asked; 0: never
  // Copies of a shard beyond so many are there because it is hot: all of them take turns, step by
  // step and layer by layer. 0: the first copy is always asked.
  uint32_t shard_copies = 0;
  uint32_t part = 0;
};

gating_router spawn_gating_router(caf::actor_system& system, const gating_router_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, route_rows& x) {
  return f(caf::meta::type_name("route_rows"), x.epoch, x.step, x.slot, x.layer);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, experts_done& x) {
  return f(caf::meta::type_name("experts_done"), x.epoch, x.step, x.layer, x.stage, x.shard,
           x.output);
}

} // namespace troupe::actors
