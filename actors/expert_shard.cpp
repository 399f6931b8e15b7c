// Computes this shard's experts on the rows the router has gathered for it: one job per layer.
#include "actors/expert_shard.hpp"

#include "actors/carriage.hpp"
#include "actors/routes.hpp"
#include "base/text.hpp"
#include "model/layers.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <vector>

namespace troupe::actors {

struct experts_computed {
  uint64_t epoch = 0;
  uint64_t step = 0;
  uint32_t layer = 0;
  uint32_t stage = 0;
  status_code code = status_code::ok;
  local_ref<row_block> output; // for a router on another node
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, experts_computed& x) {
  return f(caf::meta::type_name("experts_computed"), x.epoch, x.step, x.layer, x.stage, x.code,
           x.output);
}

namespace {

using self_type = expert_shard::extend<caf::reacts_to<experts_computed>>;

// On the executor's thread: this shard's groups of a step of this node.
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

// On the executor's thread: rows that came from another node, through the slot all shards share.
row_block compute_carried(compute::kernels& device, const expert_shard_options& options,
                          const expert_carriage& in, uint32_t layer) {
  auto& buffers = options.steps->at(options.steps->shard_slot()).buffers;
  const auto& experts = options.weights->layers[layer].experts;
  std::vector<model::expert_run> runs;
  runs.reserve(in.experts.size());
  uint32_t begin = 0;
  for (const auto& rows : in.experts) {
    runs.push_back({&experts[rows.expert], begin, begin + rows.count});
    begin += rows.count;
  }
  for (uint32_t i = 0; i < begin; ++i)
    std::copy_n(in.input.row(i).begin(), in.input.columns, buffers.expert_input.row(i));
  model::experts_forward(device, *options.description, runs, buffers);
  auto out = row_block::make(begin, buffers.expert_output.cols);
  for (uint32_t i = 0; i < begin; ++i)
    std::copy_n(buffers.expert_output.row(i), out.columns, out.row(i).begin());
  return out;
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
    if (in.carried.value)
      if (const auto s = check(*in.carried, in.layer); !s.ok()) return fail(in.step, s);
    options.trace->hit("shard.started", traced(epoch, options.shard));
    auto output = std::make_shared<row_block>(); // shared by the two closures and the message
    auto work = [options = options, in, output](compute::kernels& device) {
      if (in.carried.value)
        *output = compute_carried(device, options, *in.carried, in.layer);
      else
        compute_experts(device, options, in.slot, in.layer);
    };
    auto done = [to = caf::actor_cast<self_type>(self), in, output](const status& s) {
      experts_computed told{in.epoch, in.step, in.layer, in.stage, s.code(), {}};
      if (in.carried.value) told.output.value = output;
      caf::anon_send(to, std::move(told));
    };
    if (const auto s = options.executor->submit(std::move(work), std::move(done)); !s.ok())
      fail(in.step, s);
  }

  // What has come from another node names experts and rows of ours.
  status check(const expert_carriage& in, uint32_t layer) const {
    const auto& buffers = options.steps->at(options.steps->shard_slot()).buffers;
    const auto corrupt = [this](const char* why) {
      return status(status_code::corrupt, text("expert_shard/", options.shard, ": ", why));
    };
    if (layer >= options.weights->layers.size()) return corrupt("asked for a layer that is none");
    const auto& experts = options.weights->layers[layer].experts;
    uint64_t rows = 0;
    for (const auto& group : in.experts) {
      if (group.expert >= experts.size()) return corrupt("asked for an expert that is none");
      if (group.count == 0) return corrupt("asked for an expert without rows");
      rows += group.count;
    }
    if (rows != in.input.rows || rows == 0 || rows > buffers.expert_input.rows ||
        in.input.columns != buffers.expert_input.cols)
      return corrupt("the rows are not what the header says");
    return {};
  }

  void answer(const experts_computed& in) {
    if (in.epoch != epoch) return; // fenced
    if (in.code != status_code::ok)
      return fail(in.step,
                  status(in.code, text("the device gave up expert_shard/", options.shard)));
    self->send(routes->routers[in.stage],
               experts_done{in.epoch, in.step, in.layer, in.stage, options.shard, in.output});
  }

  // A lost device is the node's trouble, not that of the requests in the step.
  void fail(uint64_t step, const status& why) {
    if (why.code() == status_code::device_lost)
      return self->send(routes->supervisor, device_failed{epoch, why.why()});
    self->send(routes->sequencer.handle, step_failed{epoch, step, why.code(), why.why()});
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
