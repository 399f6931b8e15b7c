// Takes a step through the layers of this stage: attention here, experts by way of the gating
// router, one executor job per piece. A layer without experts is finished here.
#include "actors/attention_stage.hpp"

#include "actors/routes.hpp"
#include "actors/stage_memory.hpp"
#include "actors/step_pool.hpp"
#include "model/layers.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace troupe::actors {

// The job of a layer is done: attention, and the MLP where the layer has no experts.
struct layer_computed {
  uint64_t epoch = 0;
  uint64_t step = 0;
  uint32_t slot = 0;
  uint32_t layer = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, layer_computed& x) {
  return f(caf::meta::type_name("layer_computed"), x.epoch, x.step, x.slot, x.layer);
}

namespace {

using self_type = attention_stage::extend<caf::reacts_to<layer_computed>>;

// One layer of one step, on the executor's thread.
void compute_layer(compute::kernels& device, const attention_stage_options& options, uint32_t slot,
                   uint32_t layer) {
  auto& frame = options.steps->at(slot);
  auto& memory = *options.memory;
  const auto& description = *options.description;
  const auto& weights = options.weights->layers[layer];
  const auto rows = frame.rows();
  if (layer == 0)
    model::embed_rows(device, description, options.weights->embedding, rows, frame.buffers);
  const auto& pages = memory.pages[layer - options.layers.begin];
  model::attention_block(
      device, {.model = &description,
               .layer = layer,
               .weights = &weights.attention,
               .rows = &rows,
               .rotary = memory.rotary.view(rows.positions, rows.prompt_lengths),
               .kv = {model::kv_shape_of(description.layers[layer].attention, memory.page_tokens),
                      pages.data(), memory.page_count},
               .buffers = &frame.buffers});
  if (!description.layers[layer].is_moe())
    model::dense_block(device, description, weights.dense, rows.count(), frame.buffers);
}

struct attention_stage_state {
  using self_pointer = self_type::stateful_pointer<attention_stage_state>;
  static inline const char* name = "attention_stage";

  explicit attention_stage_state(self_pointer owner) : self(owner) {}

  void rewire(const wire& in) {
    epoch = in.epoch;
    routes = in.routes;
    self->send(routes->supervisor, wired{epoch, options.part});
  }

  void begin(const forward_batch& in) {
    if (in.epoch != epoch) return; // fenced
    submit({in.epoch, in.step, in.slot, options.layers.begin});
  }

  void submit(const layer_computed& piece) {
    auto work = [options = options, piece](compute::kernels& device) {
      compute_layer(device, options, piece.slot, piece.layer);
    };
    auto done = [to = caf::actor_cast<self_type>(self), piece](const status&) {
      caf::anon_send(to, piece);
    };
    if (const auto s = options.executor->submit(std::move(work), std::move(done)); !s.ok())
      self->send(routes->sequencer, step_failed{piece.epoch, piece.step, s.code(), s.why()});
  }

  void layer_done(const layer_computed& in) {
    if (in.epoch != epoch) return; // fenced
    if (options.description->layers[in.layer].is_moe())
      self->send(routes->routers[options.stage], route_rows{in.epoch, in.step, in.slot, in.layer});
    else
      next_layer({in.epoch, in.step, in.slot, in.layer});
  }

  void next_layer(const rows_combined& in) {
    if (in.epoch != epoch) return; // fenced
    if (in.layer + 1 < options.layers.end)
      submit({in.epoch, in.step, in.slot, in.layer + 1});
    else if (options.stage + 1 < routes->stages.size())
      self->send(routes->stages[options.stage + 1], forward_batch{in.epoch, in.step, in.slot});
    else
      self->send(routes->sequencer, forward_done{in.epoch, in.step, in.slot});
  }

  self_pointer self;
  attention_stage_options options;
  uint64_t epoch = 0;
  local_ref<route_table> routes;
};

self_type::behavior_type attention_stage_behavior(attention_stage_state::self_pointer self,
                                                  attention_stage_options options) {
  auto* state = &self->state;
  state->options = options;
  return {
      [state](const wire& in) { state->rewire(in); },
      [self](const stop_part&) { self->quit(); },
      [state](const forward_batch& in) { state->begin(in); },
      [state](const rows_combined& in) { state->next_layer(in); },
      [state](const layer_computed& in) { state->layer_done(in); },
  };
}

} // namespace

attention_stage spawn_attention_stage(caf::actor_system& system,
                                      const attention_stage_options& options) {
  return system.spawn(attention_stage_behavior, options);
}

} // namespace troupe::actors
