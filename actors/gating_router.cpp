// Per layer of a step: choose experts and plan the dispatch (one job), send each shard its share,
// ask another copy of a shard that stays silent, and when all have answered, combine in routing
// order (one job).
#include "actors/gating_router.hpp"

#include "actors/carriage.hpp"
#include "actors/metrics_board.hpp"
#include "actors/routes.hpp"
#include "base/mutant.hpp"
#include "model/layers.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <utility>
#include <vector>

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
  status_code code = status_code::ok;
};
// Time to see whether other copies of the shards that are silent should be asked.
struct reroute_due {
  uint64_t epoch = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, rows_routed& x) {
  return f(caf::meta::type_name("rows_routed"), x.epoch, x.step, x.slot, x.layer, x.code);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, combine_finished& x) {
  return f(caf::meta::type_name("combine_finished"), x.epoch, x.step, x.slot, x.layer, x.code);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, reroute_due& x) {
  return f(caf::meta::type_name("reroute_due"), x.epoch);
}

namespace {

using self_type =
    gating_router::extend<caf::reacts_to<rows_routed>, caf::reacts_to<combine_finished>,
                          caf::reacts_to<reroute_due>>;

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

// What a shard on another node has answered.
struct remote_answer {
  uint32_t shard = 0;
  local_ref<row_block> rows;
};

// On the executor's thread, where no job of a slow copy on this node can write beside it.
void put_answers(const std::vector<remote_answer>& answers, step_frame& frame) {
  auto& output = frame.buffers.expert_output;
  for (const auto& answer : answers) {
    const uint32_t begin = frame.groups->shards()[answer.shard].slot_begin;
    for (uint32_t i = 0; i < answer.rows->rows; ++i)
      std::copy_n(answer.rows->row(i).begin(), answer.rows->columns, output.row(begin + i));
  }
}

void combine(compute::kernels& device, const gating_router_options& options, uint32_t slot,
             uint32_t layer) {
  auto& frame = options.steps->at(slot);
  model::combine_experts(device, options.description->layers[layer].moe, frame.groups->slots(),
                         static_cast<uint32_t>(frame.ids.size()), frame.buffers);
}

// A shard's share of the layer under way.
struct share {
  bool awaited = false;
  uint32_t attempt = 0;
  local_ref<expert_carriage> carried; // made when a copy on another node is asked first
};

struct gating_router_state {
  using self_pointer = self_type::stateful_pointer<gating_router_state>;
  static inline const char* name = "gating_router";

  explicit gating_router_state(self_pointer owner) : self(owner) {}

  void rewire(const wire& in) {
    epoch = in.epoch;
    routes = in.routes;
    shares.assign(routes->shards.size(), {});
    awaited = 0;
    watching = false;
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

  // -- dispatch

  void dispatch(const rows_routed& in) {
    if (in.epoch != epoch) return; // fenced
    if (in.code != status_code::ok)
      return fail(in.step, in.code, "the router made no valid choice");
    under_way = in;
    const auto& groups = *options.steps->at(in.slot).groups;
    awaited = 0;
    answers.clear();
    for (uint32_t shard = 0; shard < groups.shards().size(); ++shard) {
      shares[shard] = {};
      if (groups.shards()[shard].empty()) continue;
      shares[shard].awaited = true;
      ++awaited;
      ask(shard);
    }
    options.trace->hit("shard.dispatched", in.step);
    asked_at = options.time->now();
    watch();
  }

  // One timer at a time looks after all layers.
  void watch() {
    if (watching || options.reroute_after <= duration(0)) return;
    watching = true;
    self->delayed_send(self, options.reroute_after, reroute_due{epoch});
  }

  void ask(uint32_t shard) {
    auto& mine = shares[shard];
    const auto& copies = routes->shards[shard];
    const auto which =
        static_cast<uint32_t>((turn_of(copies.size()) + mine.attempt) % copies.size());
    const auto& copy = copies[which];
    if (copy.remote && !mine.carried.value) mine.carried = make_local(carriage_of(shard));
    expert_batch out{.epoch = epoch,
                     .step = under_way.step,
                     .slot = under_way.slot,
                     .layer = under_way.layer,
                     .stage = options.stage,
                     .shard = shard,
                     .attempt = which,
                     .carried = {}};
    if (copy.remote) out.carried = mine.carried;
    self->send(copy.handle, std::move(out));
  }

  uint64_t turn_of(size_t copies) const {
    const bool hot = options.shard_copies > 0 && copies > options.shard_copies;
    return hot ? under_way.step + under_way.layer : 0;
  }

  expert_carriage carriage_of(uint32_t shard) const {
    const auto& frame = options.steps->at(under_way.slot);
    const auto& groups = *frame.groups;
    const auto& mine = groups.shards()[shard];
    expert_carriage out;
    for (uint32_t i = mine.group_begin; i < mine.group_end; ++i)
      out.experts.push_back({groups.groups()[i].expert, groups.groups()[i].count()});
    const auto& input = frame.buffers.expert_input;
    out.input = row_block::make(mine.slot_end - mine.slot_begin, input.cols);
    for (uint32_t i = 0; i < out.input.rows; ++i)
      std::copy_n(input.row(mine.slot_begin + i), input.cols, out.input.row(i).begin());
    return out;
  }

  // Every copy computes the same bits, so it does not matter which of them answers first. A slow
  // answer is not taken twice.
  void reroute(const reroute_due& in) {
    if (in.epoch != epoch) return;
    watching = false;
    if (awaited == 0) return;
    const auto left = asked_at + options.reroute_after - options.time->now();
    if (left > duration(0)) {
      watching = true;
      return self->delayed_send(self, left, in);
    }
    for (uint32_t shard = 0; shard < shares.size(); ++shard) {
      auto& mine = shares[shard];
      if (!mine.awaited || mine.attempt + 1 >= routes->shards[shard].size()) continue;
      ++mine.attempt;
      options.trace->hit("shard.rerouted", shard);
      ask(shard);
    }
    asked_at = options.time->now();
    watch();
  }

  // -- combining

  void collect(const experts_done& in) {
    if (in.epoch != epoch || in.step != under_way.step ||
        (in.layer != under_way.layer && !TROUPE_MUTANT(answers_of_other_layers_taken)))
      return;
    auto& mine = shares[in.shard];
    if (!mine.awaited && !TROUPE_MUTANT(count_late_answers)) return; // another copy was faster
    if (in.output.value && !take(in)) return;
    mine.awaited = false;
    if (--awaited > 0) return;
    auto work = [options = options, at = under_way,
                 answers = std::exchange(answers, {})](compute::kernels& device) {
      put_answers(answers, options.steps->at(at.slot));
      combine(device, options, at.slot, at.layer);
    };
    auto done = [to = caf::actor_cast<self_type>(self), at = under_way](const status& s) {
      caf::anon_send(to, combine_finished{at.epoch, at.step, at.slot, at.layer, s.code()});
    };
    submit(in.step, std::move(work), std::move(done));
  }

  // Rows from another node; false when they cannot be those asked for.
  bool take(const experts_done& in) {
    const auto& frame = options.steps->at(under_way.slot);
    const auto& mine = frame.groups->shards()[in.shard];
    const auto& rows = *in.output;
    if (rows.rows != mine.slot_end - mine.slot_begin ||
        rows.columns != frame.buffers.expert_output.cols) {
      fail(in.step, status_code::corrupt, "a shard's answer has another shape than its question");
      return false;
    }
    answers.push_back({in.shard, in.output});
    return true;
  }

  void hand_back(const combine_finished& in) {
    if (in.epoch != epoch) return; // fenced
    if (in.code != status_code::ok)
      return fail(in.step, in.code, "the device gave up combining experts");
    self->send(routes->stages[options.stage].handle,
               rows_combined{in.epoch, in.step, in.slot, in.layer});
  }

  void submit(uint64_t step, compute::executor::job work, compute::executor::completion done) {
    if (const auto s = options.executor->submit(std::move(work), std::move(done)); !s.ok())
      fail(step, s.code(), s.why());
  }

  // A lost device is the node's trouble, not that of the requests in the step.
  void fail(uint64_t step, status_code code, std::string why) {
    if (code == status_code::device_lost)
      return self->send(routes->supervisor, device_failed{epoch, std::move(why)});
    self->send(routes->sequencer.handle, step_failed{epoch, step, code, std::move(why)});
  }

  self_pointer self;
  gating_router_options options;
  uint64_t epoch = 0;
  rows_routed under_way;     // the layer whose shards are asked
  std::vector<share> shares; // per shard
  std::vector<remote_answer> answers;
  uint32_t awaited = 0;  // shards that have not answered …
  time_point asked_at{}; // … since they were asked last
  bool watching = false; // a reroute_due is on its way
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
      [state](const reroute_due& in) { state->reroute(in); },
  };
}

} // namespace

gating_router spawn_gating_router(caf::actor_system& system, const gating_router_options& options) {
  return system.spawn(gating_router_behavior, options);
}

} // namespace troupe::actors
