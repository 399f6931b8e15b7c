// Starts, wires, restarts and ends the parts of a node. A restart of any part begins a new epoch:
// all parts are wired anew, and only when each has promised to drop older work, and everything
// already given to the executor has run, does the sequencer go on.
#include "actors/node_supervisor.hpp"

#include "actors/metrics_board.hpp"
#include "actors/routes.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <utility>

namespace troupe::actors {

// The pause before a restart is over.
struct restart_part {
  uint32_t part = 0;
};
// Everything given to the executor before this epoch has run.
struct fence_passed {
  uint64_t epoch = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, restart_part& x) {
  return f(caf::meta::type_name("restart_part"), x.part);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, fence_passed& x) {
  return f(caf::meta::type_name("fence_passed"), x.epoch);
}

namespace {

using dataflow::role;
using dataflow::role_kind;
using self_type =
    node_supervisor::extend<caf::reacts_to<restart_part>, caf::reacts_to<fence_passed>>;

struct part {
  dataflow::role role;
  caf::actor handle; // null while it is down
  bool wired = false;
};

struct node_supervisor_state {
  using self_pointer = self_type::stateful_pointer<node_supervisor_state>;
  static inline const char* name = "node_supervisor";

  explicit node_supervisor_state(self_pointer owner) : self(owner) {}

  void start(node_supervisor_options o) {
    options = std::move(o);
    policy.emplace(options.resources->restarts);
    self->set_down_handler([this](caf::down_msg& down) { lost(down); });
    const auto& graph = options.resources->graph;
    routes.stages.resize(graph.stages.size());
    routes.routers.resize(graph.stages.size());
    routes.shards.resize(graph.shards.size());
    routes.supervisor = caf::actor_cast<wired_sink>(caf::actor_cast<self_type>(self));
    for (const auto& who : graph.roles()) parts.push_back({who, {}, false});
    for (uint32_t i = 0; i < parts.size(); ++i) spawn(i);
    wire_all();
  }

  // -- starting parts

  void spawn(uint32_t index) {
    auto& part = parts[index];
    part.handle = spawn_role(part.role, index);
    self->monitor(part.handle);
    if (options.started) options.started(part.role, part.handle);
  }

  template <class Handle>
  static caf::actor keep(Handle& place, Handle made) {
    place = std::move(made);
    return caf::actor_cast<caf::actor>(place);
  }

  caf::actor spawn_role(const role& who, uint32_t index) {
    switch (who.kind) {
      case role_kind::ingress:
        return keep(routes.ingress, make_ingress(index));
      case role_kind::sequencer:
        return keep(routes.sequencer, make_sequencer(index));
      case role_kind::kv_cache_manager:
        return keep(routes.kv_cache_manager, make_kv_cache_manager(index));
      case role_kind::attention_stage:
        return keep(routes.stages[who.index], make_stage(who.index, index));
      case role_kind::gating_router:
        return keep(routes.routers[who.index], make_router(who.index, index));
      case role_kind::expert_shard:
        return keep(routes.shards[who.index], make_shard(who.index, index));
      default:
        break;
    }
    TROUPE_CHECK(!"a role that no node plays yet");
    return {};
  }

  ingress make_ingress(uint32_t index) {
    const auto& r = *options.resources;
    return spawn_ingress(
        self->system(),
        {.tokenizer = r.bundle->tokenizer.get(), .board = r.board, .time = r.time, .part = index});
  }

  sequencer make_sequencer(uint32_t index) {
    const auto& r = *options.resources;
    return spawn_sequencer(self->system(), {.limits = r.limits,
                                            .positions_max = r.positions_max,
                                            .page_tokens = r.page_tokens,
                                            .prefix_cache = r.prefix_cache,
                                            .weight_version = r.bundle->weight_version,
                                            .eos_ids = r.eos_ids,
                                            .description = r.bundle->description.get(),
                                            .executor = r.executor,
                                            .steps = r.steps,
                                            .board = r.board,
                                            .time = r.time,
                                            .part = index});
  }

  kv_cache_manager make_kv_cache_manager(uint32_t index) {
    const auto& r = *options.resources;
    return spawn_kv_cache_manager(
        self->system(), {.pages = {.page_count = r.page_count, .page_tokens = r.page_tokens},
                         .board = r.board,
                         .part = index});
  }

  attention_stage make_stage(uint32_t stage, uint32_t index) {
    const auto& r = *options.resources;
    return spawn_attention_stage(self->system(), {.stage = stage,
                                                  .layers = r.graph.stages[stage],
                                                  .description = r.bundle->description.get(),
                                                  .weights = r.bundle->weights.get(),
                                                  .executor = r.executor,
                                                  .steps = r.steps,
                                                  .memory = r.memories[stage],
                                                  .part = index});
  }

  gating_router make_router(uint32_t stage, uint32_t index) {
    const auto& r = *options.resources;
    return spawn_gating_router(self->system(), {.stage = stage,
                                                .description = r.bundle->description.get(),
                                                .weights = r.bundle->weights.get(),
                                                .executor = r.executor,
                                                .steps = r.steps,
                                                .board = r.board,
                                                .part = index});
  }

  expert_shard make_shard(uint32_t shard, uint32_t index) {
    const auto& r = *options.resources;
    return spawn_expert_shard(self->system(), {.shard = shard,
                                               .description = r.bundle->description.get(),
                                               .weights = r.bundle->weights.get(),
                                               .executor = r.executor,
                                               .steps = r.steps,
                                               .part = index});
  }

  // -- wiring

  bool all_up() const {
    return std::all_of(parts.begin(), parts.end(),
                       [](const part& p) { return p.handle != nullptr; });
  }

  void wire_all() {
    if (!all_up() || stopping || given_up) return;
    ++epoch;
    current = make_local(routes);
    for (auto& part : parts) {
      part.wired = false;
      self->send(caf::actor_cast<wired_part>(part.handle), wire{epoch, current, kv_lost});
    }
    kv_lost = false;
  }

  void note_wired(const wired& in) {
    if (in.epoch != epoch) return;
    parts[in.part].wired = true;
    if (!std::all_of(parts.begin(), parts.end(), [](const part& p) { return p.wired; })) return;
    auto done = [to = caf::actor_cast<self_type>(self), epoch = epoch](const status&) {
      caf::anon_send(to, fence_passed{epoch});
    };
    const auto s = options.resources->executor->submit([](compute::kernels&) {}, std::move(done));
    if (!s.ok()) give_up(text("the executor takes no work: ", s.why()));
  }

  void resume(const fence_passed& in) {
    if (in.epoch != epoch || stopping || given_up) return;
    self->send(routes.sequencer, pipeline_ready{epoch});
    if (options.ready) options.ready(current);
  }

  // -- losing parts

  void lost(const caf::down_msg& down) {
    const auto found = std::find_if(parts.begin(), parts.end(), [&down](const part& p) {
      return p.handle != nullptr && p.handle.address() == down.source;
    });
    if (found == parts.end()) return;
    found->handle = nullptr;
    found->wired = false;
    if (stopping) return quit_when_all_down();
    if (given_up) return;
    restart(static_cast<uint32_t>(found - parts.begin()), caf::to_string(down.reason));
  }

  void restart(uint32_t index, const std::string& reason) {
    const auto& who = parts[index].role;
    const auto decision = policy->on_failure(options.resources->time->now());
    // The clients' streams live in the ingress; nobody else could go on with them.
    if (decision.escalate || who.kind == role_kind::ingress)
      return give_up(text(to_string(who), " failed: ", reason));
    log::warn(text("restarting ", to_string(who), " after ", reason));
    count(options.resources->board->restarts);
    kv_lost = kv_lost || who.kind == role_kind::attention_stage; // its pages go with it
    self->delayed_send(self, decision.pause, restart_part{index});
  }

  void spawn_again(const restart_part& in) {
    if (stopping || given_up) return;
    spawn(in.part);
    wire_all();
  }

  void give_up(const std::string& why) {
    given_up = true;
    log::error(text("this node cannot go on: ", why));
    options.resources->board->failed.store(true, std::memory_order_relaxed);
    if (routes.ingress) self->send(routes.ingress, pipeline_failed{why});
  }

  // -- the end

  void stop() {
    if (std::exchange(stopping, true)) return;
    for (const auto& part : parts)
      if (part.handle) self->send(caf::actor_cast<wired_part>(part.handle), stop_part{epoch});
    quit_when_all_down();
  }

  void quit_when_all_down() {
    const bool any =
        std::any_of(parts.begin(), parts.end(), [](const part& p) { return p.handle != nullptr; });
    if (any) return;
    routes = {}; // our own handle among them would keep us alive
    current = {};
    self->quit();
  }

  self_pointer self;
  node_supervisor_options options;
  std::optional<dataflow::restart_policy> policy;
  std::vector<part> parts; // by part number
  route_table routes;      // of the epoch to come
  local_ref<route_table> current;
  uint64_t epoch = 0;
  bool kv_lost = false;
  bool stopping = false;
  bool given_up = false;
};

self_type::behavior_type node_supervisor_behavior(node_supervisor_state::self_pointer self,
                                                  node_supervisor_options options) {
  auto* state = &self->state;
  state->start(std::move(options));
  return {
      [state](const wired& in) { state->note_wired(in); },
      [state](const stop_node&) { state->stop(); },
      [state](const restart_part& in) { state->spawn_again(in); },
      [state](const fence_passed& in) { state->resume(in); },
  };
}

} // namespace

node_supervisor spawn_node_supervisor(caf::actor_system& system,
                                      const node_supervisor_options& options) {
  return system.spawn(node_supervisor_behavior, options);
}

} // namespace troupe::actors
