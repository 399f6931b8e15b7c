// Takes a step through the layers of this stage: attention here, experts by way of the gating
// router, one executor job per piece. A layer without experts is finished here.
#include "actors/attention_stage.hpp"

#include "actors/carriage.hpp"
#include "actors/routes.hpp"
#include "actors/stage_memory.hpp"
#include "actors/step_pool.hpp"
#include "base/text.hpp"
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
  status_code code = status_code::ok;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, layer_computed& x) {
  return f(caf::meta::type_name("layer_computed"), x.epoch, x.step, x.slot, x.layer, x.code);
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
    uint32_t slot = in.slot;
    if (in.carried.value) {
      slot = options.steps->stage_slot(options.stage);
      auto& frame = options.steps->at(slot);
      if (const auto s = check(*in.carried, in_carriage()); !s.ok())
        return fail(in.step, s.within(text("attention_stage/", options.stage)));
      frame.take(in.carried->rows, in.carried->hidden);
    }
    options.trace->hit("stage.started", traced(epoch, options.stage));
    submit({in.epoch, in.step, slot, options.layers.begin});
  }

  carriage_limits in_carriage() const {
    const auto& frame = options.steps->at(0);
    return {.rows_max = frame.buffers.limits.rows_max,
            .columns = options.layers.begin == 0 ? 0 : frame.buffers.hidden.cols,
            .slots = options.memory->page_count * options.memory->page_tokens,
            .pages = options.memory->page_count,
            .positions = options.memory->positions_max,
            .vocabulary = options.description->vocabulary};
  }

  void submit(const layer_computed& piece) {
    auto work = [options = options, piece](compute::kernels& device) {
      compute_layer(device, options, piece.slot, piece.layer);
    };
    auto done = [to = caf::actor_cast<self_type>(self), piece](const status& s) {
      auto told = piece;
      told.code = s.code();
      caf::anon_send(to, told);
    };
    if (const auto s = options.executor->submit(std::move(work), std::move(done)); !s.ok())
      fail(piece.step, s);
  }

  // A lost device is the node's trouble, not that of the requests in the step.
  void fail(uint64_t step, const status& why) {
    if (why.code() == status_code::device_lost)
      return self->send(routes->supervisor, device_failed{epoch, why.why()});
    self->send(routes->sequencer.handle, step_failed{epoch, step, why.code(), why.why()});
  }

  void layer_done(const layer_computed& in) {
    if (in.epoch != epoch) return; // fenced
    if (in.code != status_code::ok)
      return fail(in.step, status(in.code, text("the device gave up layer ", in.layer)));
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
      pass_on(in);
    else
      finish(in);
  }

  void pass_on(const rows_combined& in) {
    const auto& next = routes->stages[options.stage + 1];
    forward_batch out{in.epoch, in.step, options.stage + 1, in.slot, {}};
    const auto& frame = options.steps->at(in.slot);
    if (next.remote)
      out.carried = make_local(step_carriage{frame.description(), frame.hidden_rows()});
    self->send(next.handle, std::move(out));
  }

  void finish(const rows_combined& in) {
    forward_done out{in.epoch, in.step, {}};
    const auto& frame = options.steps->at(in.slot);
    if (frame.carried) out.wanted = make_local(frame.wanted_hidden());
    self->send(routes->sequencer.handle, std::move(out));
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
