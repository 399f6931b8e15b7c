// Per layer of a step: choose experts and plan the dispatch (one job), send each shard its share,
// and when all shards have answered, combine in routing order (one job).
#include "actors/gating_router.hpp"

#include "actors/metrics_board.hpp"
#include "actors/routes.hpp"
#include "actors/step_pool.hpp"
#include "model/layers.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace troupe::actors {

// The choice is made and the slot's dispatch plan stands.
struct rows_routed {
  uint64_t epoch = 0;
  uint64_t step = 0;
  uint32_t slot = 0;
  uint32_t layer = 0;
  status_code code = status_code::ok;
};
struct combine_finished {
  uint64_t epoch = 0;
  uint64_t step = 0;
  uint32_t slot = 0;
  uint32_t layer = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, rows_routed& x) {
  return f(caf::meta::type_name("rows_routed"), x.epoch, x.step, x.slot, x.layer, x.code);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, combine_finished& x) {
  return f(caf::meta::type_name("combine_finished"), x.epoch, x.step, x.slot, x.layer);
}

namespace {

using self_type =
    gating_router::extend<caf::reacts_to<rows_routed>, caf::reacts_to<combine_finished>>;

// On the executor's thread: choice, dispatch plan, rows in expert order, and the shared expert.
status choose_experts(compute::kernels& device, const gating_router_options& options, uint32_t slot,
                      uint32_t layer) {
  auto& frame = options.steps->at(slot);
  const auto& moe = options.description->layers[layer].moe;
  const auto& weights = options.weights->layers[layer].router;
  const auto rows = static_cast<uint32_t>(frame.ids.size());
  model::router_choice(device, moe, weights, rows, frame.buffers);
  const uint32_t top_k = moe.rule.top_k;
  const auto ids = std::span(frame.buffers.expert_ids).first(size_t{rows} * top_k);
  TROUPE_RETURN_IF_ERROR(frame.groups->build(ids, top_k));
  model::gather_expert_input(device, frame.groups->rows(), frame.buffers);
  model::shared_expert(device, *options.description, weights, rows, frame.buffers);
  for (const auto& group : frame.groups->groups())
    count(options.board->expert_tokens(layer, group.expert), group.count());
  return {};
}

void combine(compute::kernels& device, const gating_router_options& options, uint32_t slot,
             uint32_t layer) {
  auto& frame = options.steps->at(slot);
  model::combine_experts(device, options.description->layers[layer].moe, frame.groups->slots(),
                         static_cast<uint32_t>(frame.ids.size()), frame.buffers);
}

struct gating_router_state {
  using self_pointer = self_type::stateful_pointer<gating_router_state>;
  static inline const char* name = "gating_router";

  explicit gating_router_state(self_pointer owner) : self(owner) {}

  void rewire(const wire& in) {
    epoch = in.epoch;
    routes = in.routes;
    self->send(routes->supervisor, wired{epoch, options.part});
  }

  void route(const route_rows& in) {
    if (in.epoch != epoch) return; // fenced
    // The outcome of the job travels to its completion; both run on the executor's thread.
    auto outcome = std::make_shared<status_code>(status_code::ok); // shared by the two closures
    auto work = [options = options, in, outcome](compute::kernels& device) {
      *outcome = choose_experts(device, options, in.slot, in.layer).code();
    };
    auto done = [to = caf::actor_cast<self_type>(self), in, outcome](const status& s) {
      const auto code = s.ok() ? *outcome : s.code();
      caf::anon_send(to, rows_routed{in.epoch, in.step, in.slot, in.layer, code});
    };
    submit(in.step, std::move(work), std::move(done));
  }

  void dispatch(const rows_routed& in) {
    if (in.epoch != epoch) return; // fenced
    if (in.code != status_code::ok)
      return fail(in.step, in.code, "the router made no valid choice");
    const auto& groups = *options.steps->at(in.slot).groups;
    awaited = 0;
    for (uint32_t shard = 0; shard < groups.shards().size(); ++shard) {
      if (groups.shards()[shard].empty()) continue;
      ++awaited;
      self->send(routes->shards[shard],
                 expert_batch{in.epoch, in.step, in.slot, in.layer, options.stage});
    }
  }

  void collect(const experts_done& in) {
    if (in.epoch != epoch) return; // fenced
    TROUPE_CHECK(awaited > 0);
    if (--awaited > 0) return;
    auto work = [options = options, in](compute::kernels& device) {
      combine(device, options, in.slot, in.layer);
    };
    auto done = [to = caf::actor_cast<self_type>(self), in](const status&) {
      caf::anon_send(to, combine_finished{in.epoch, in.step, in.slot, in.layer});
    };
    submit(in.step, std::move(work), std::move(done));
  }

  void hand_back(const combine_finished& in) {
    if (in.epoch != epoch) return; // fenced
    self->send(routes->stages[options.stage], rows_combined{in.epoch, in.step, in.slot, in.layer});
  }

  void submit(uint64_t step, compute::executor::job work, compute::executor::completion done) {
    if (const auto s = options.executor->submit(std::move(work), std::move(done)); !s.ok())
      fail(step, s.code(), s.why());
  }

  void fail(uint64_t step, status_code code, std::string why) {
    self->send(routes->sequencer, step_failed{epoch, step, code, std::move(why)});
  }

  self_pointer self;
  gating_router_options options;
  uint64_t epoch = 0;
  uint32_t awaited = 0; // shards that have not answered for the layer under way
  local_ref<route_table> routes;
};

self_type::behavior_type gating_router_behavior(gating_router_state::self_pointer self,
                                                gating_router_options options) {
  auto* state = &self->state;
  state->options = options;
  return {
      [state](const wire& in) { state->rewire(in); },
      [self](const stop_part&) { self->quit(); },
      [state](const route_rows& in) { state->route(in); },
      [state](const experts_done& in) { state->collect(in); },
      [state](const rows_routed& in) { state->dispatch(in); },
      [state](const combine_finished& in) { state->hand_back(in); },
  };
}

} // namespace

gating_router spawn_gating_router(caf::actor_system& system, const gating_router_options& options) {
  return system.spawn(gating_router_behavior, options);
}

} // namespace troupe::actors
