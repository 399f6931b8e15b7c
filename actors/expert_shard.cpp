// Computes this shard's experts on the rows the router has gathered for it: one job per layer.
#include "actors/expert_shard.hpp"

#include "actors/routes.hpp"
#include "actors/step_pool.hpp"
#include "model/layers.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <vector>

namespace troupe::actors {

struct experts_computed {
  uint64_t epoch = 0;
  uint64_t step = 0;
  uint32_t slot = 0;
  uint32_t layer = 0;
  uint32_t stage = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, experts_computed& x) {
  return f(caf::meta::type_name("experts_computed"), x.epoch, x.step, x.slot, x.layer, x.stage);
}

namespace {

using self_type = expert_shard::extend<caf::reacts_to<experts_computed>>;

// On the executor's thread.
void compute_experts(compute::kernels& device, const expert_shard_options& options, uint32_t slot,
                     uint32_t layer) {
  auto& frame = options.steps->at(slot);
  const auto& groups = *frame.groups;
  const auto& share = groups.shards()[options.shard];
  const auto& experts = options.weights->layers[layer].experts;
  std::vector<model::expert_run> runs;
  runs.reserve(share.group_end - share.group_begin);
  for (uint32_t i = share.group_begin; i < share.group_end; ++i) {
    const auto& group = groups.groups()[i];
    runs.push_back({&experts[group.expert], group.begin, group.end});
  }
  model::experts_forward(device, *options.description, runs, frame.buffers);
}

struct expert_shard_state {
  using self_pointer = self_type::stateful_pointer<expert_shard_state>;
  static inline const char* name = "expert_shard";

  explicit expert_shard_state(self_pointer owner) : self(owner) {}

  void rewire(const wire& in) {
    epoch = in.epoch;
    routes = in.routes;
    self->send(routes->supervisor, wired{epoch, options.part});
  }

  void compute(const expert_batch& in) {
    if (in.epoch != epoch) return; // fenced
    auto work = [options = options, in](compute::kernels& device) {
      compute_experts(device, options, in.slot, in.layer);
    };
    auto done = [to = caf::actor_cast<self_type>(self), in](const status&) {
      caf::anon_send(to, experts_computed{in.epoch, in.step, in.slot, in.layer, in.stage});
    };
    if (const auto s = options.executor->submit(std::move(work), std::move(done)); !s.ok())
      self->send(routes->sequencer, step_failed{in.epoch, in.step, s.code(), s.why()});
  }

  void answer(const experts_computed& in) {
    if (in.epoch != epoch) return; // fenced
    self->send(routes->routers[in.stage],
               experts_done{in.epoch, in.step, in.slot, in.layer, options.shard});
  }

  self_pointer self;
  expert_shard_options options;
  uint64_t epoch = 0;
  local_ref<route_table> routes;
};

self_type::behavior_type expert_shard_behavior(expert_shard_state::self_pointer self,
                                               expert_shard_options options) {
  auto* state = &self->state;
  state->options = options;
  return {
      [state](const wire& in) { state->rewire(in); },
      [self](const stop_part&) { self->quit(); },
      [state](const expert_batch& in) { state->compute(in); },
      [state](const experts_computed& in) { state->answer(in); },
  };
}

} // namespace

expert_shard spawn_expert_shard(caf::actor_system& system, const expert_shard_options& options) {
  return system.spawn(expert_shard_behavior, options);
}

} // namespace troupe::actors
