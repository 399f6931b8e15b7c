// Keeps the parts of a node in line with the agreed state. Every state is an epoch: parts are
// started and ended as it says, all are wired to it, and only when each has promised to drop older
// work, and everything already given to the executor has run, is the node ready for it. A node of
// its own agrees with itself.
#include "actors/node_supervisor.hpp"

#include "actors/metrics_board.hpp"
#include "actors/model_bundle.hpp"
#include "actors/part_factory.hpp"
#include "actors/routes.hpp"
#include "base/log.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"
#include "dataflow/placement.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace troupe::actors {

// The pause before a restart is over.
struct restart_part {
  uint32_t restarts = 0;
};
// Everything given to the executor before this epoch has run.
struct fence_passed {
  uint64_t epoch = 0;
  status_code code = status_code::ok;
};
// By now it should have.
struct fence_overdue {
  uint64_t epoch = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, restart_part& x) {
  return f(caf::meta::type_name("restart_part"), x.restarts);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, fence_passed& x) {
  return f(caf::meta::type_name("fence_passed"), x.epoch, x.code);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, fence_overdue& x) {
  return f(caf::meta::type_name("fence_overdue"), x.epoch);
}

namespace {

using dataflow::role;
using dataflow::role_kind;
using schemas::cluster_state;
using schemas::node_index;
using self_type =
    node_supervisor::extend<caf::reacts_to<restart_part>, caf::reacts_to<fence_passed>,
                            caf::reacts_to<fence_overdue>>;

struct part {
  uint32_t number = 0;
  caf::actor handle;
  bool wired = false;
};

constexpr uint32_t gateway_number = 0; // parts count from 1

struct node_supervisor_state {
  using self_pointer = self_type::stateful_pointer<node_supervisor_state>;
  static inline const char* name = "node_supervisor";

  explicit node_supervisor_state(self_pointer owner) : self(owner) {}

  void start(node_supervisor_options o) {
    options = std::move(o);
    policy.emplace(resources().restarts);
    self->set_down_handler([this](caf::down_msg& down) { lost(down); });
    if (options.clustered) {
      spawn({role_kind::ingress, 0});
      return;
    }
    state = lone_state();
    settle();
  }

  const node_resources& resources() const { return *options.resources; }

  // A node of its own plays every role.
  cluster_state lone_state() const {
    cluster_state out;
    out.epoch = 1;
    out.kv_version = 1;
    out.members.push_back({.incarnation = 0, .present = true, .serving = true});
    out.where.sequencer = 0;
    out.where.stages.assign(resources().graph.stages.size(), 0);
    out.where.shards.assign(resources().graph.shards.size(), {0});
    return out;
  }

  // -- the cluster

  void join(const join_cluster& in) {
    seat = in.seat;
    for (const auto& service : services()) self->monitor(service);
    if (options.started) {
      options.started({role_kind::membership, 0}, caf::actor_cast<caf::actor>(seat->membership));
      options.started({role_kind::coordinator, 0}, caf::actor_cast<caf::actor>(seat->coordinator));
    }
    if (state.epoch > 0) adopt();
  }

  std::vector<caf::actor> services() const {
    if (!seat.value) return {};
    return {caf::actor_cast<caf::actor>(seat->gateway),
            caf::actor_cast<caf::actor>(seat->coordinator),
            caf::actor_cast<caf::actor>(seat->membership)};
  }

  void apply(const apply_state& in) {
    if (in.state->epoch <= state.epoch) return;
    state = *in.state;
    if (seat.value) adopt();
  }

  void adopt() {
    resources().trace->hit("epoch.learned", state.epoch);
    if (options.learned) options.learned(state);
    self->send(seat->membership, state_learned{make_local(state)});
    settle();
  }

  node_index place() const { return seat.value ? seat->self : 0; }

  bool takes_part() const {
    const auto& me = state.members[place()];
    return me.present && (!seat.value || me.incarnation == seat->incarnation);
  }

  void tell_condition() {
    if (seat.value) self->send(seat->membership, condition);
  }

  // -- parts

  // Starts and ends parts as the state says, and wires all of them to its epoch.
  void settle() {
    if (stopping || given_up) return;
    std::vector<role> wanted = {{role_kind::ingress, 0}};
    if (takes_part())
      for (const auto& who : dataflow::roles_of(state.where, place())) wanted.push_back(who);
    end_others(wanted);
    for (const auto& who : wanted)
      if (parts.count(who) == 0 && !spawn(who)) return;
    wire_all();
  }

  void end_others(const std::vector<role>& wanted) {
    for (auto entry = parts.begin(); entry != parts.end();) {
      if (std::find(wanted.begin(), wanted.end(), entry->first) != wanted.end()) {
        ++entry;
        continue;
      }
      self->demonitor(entry->second.handle);
      // Before whatever waits for it: it shall do no more work of an older epoch.
      self->send<caf::message_priority::high>(caf::actor_cast<wired_part>(entry->second.handle),
                                              stop_part{state.epoch});
      entry = parts.erase(entry);
    }
  }

  bool spawn(const role& who) {
    auto made = make_part(self->system(), resources(), who, ++last_number);
    if (!made) {
      fail_device(made.error().why());
      return false;
    }
    self->monitor(*made);
    if (options.started) options.started(who, *made);
    parts[who] = {last_number, std::move(*made), false};
    return true;
  }

  template <class Handle>
  Handle local(const role& who) const {
    const auto found = parts.find(who);
    return found == parts.end() ? Handle() : caf::actor_cast<Handle>(found->second.handle);
  }

  template <class Handle>
  placed<Handle> find(const role& who, node_index node) const {
    if (node == place()) return {local<Handle>(who), node, false};
    return {Handle(seat->gateway), node, true};
  }

  // -- wiring

  void wire_all() {
    current = make_local(make_routes());
    for (auto& [who, part] : parts) part.wired = false;
    condition.epoch_stuck = 0;
    if (seat.value)
      self->send(seat->gateway, wire{state.epoch, current, false}); // it must be first
    else
      wire_parts();
  }

  route_table make_routes() const {
    route_table out;
    out.members = state.members;
    out.supervisor = caf::actor_cast<pipeline_watcher>(caf::actor_cast<self_type>(self));
    out.doors.resize(state.members.size());
    for (node_index node = 0; node < state.members.size(); ++node)
      if (state.members[node].present)
        out.doors[node] = find<ingress>({role_kind::ingress, 0}, node).handle;
    out.doors[place()] = local<ingress>({role_kind::ingress, 0});
    if (!takes_part() || state.where.sequencer == schemas::no_node) return out;
    put_pipeline(out);
    return out;
  }

  void put_pipeline(route_table& out) const {
    const auto& where = state.where;
    out.sequencer = find<sequencer>({role_kind::sequencer, 0}, where.sequencer);
    out.kv_cache_manager = local<kv_cache_manager>({role_kind::kv_cache_manager, 0});
    for (uint32_t i = 0; i < where.stages.size(); ++i) {
      out.stages.push_back(find<attention_stage>({role_kind::attention_stage, i}, where.stages[i]));
      out.routers.push_back(
          find<gating_router>({role_kind::gating_router, i}, where.stages[i]).handle);
    }
    for (uint32_t i = 0; i < where.shards.size(); ++i) {
      auto& copies = out.shards.emplace_back();
      for (const auto node : where.shards[i])
        copies.push_back(find<expert_shard>({role_kind::expert_shard, i}, node));
      // The copy on this node costs no network.
      std::stable_partition(copies.begin(), copies.end(),
                            [](const auto& copy) { return !copy.remote; });
    }
  }

  void wire_parts() {
    const bool kv_lost = state.kv_version != kv_version;
    kv_version = state.kv_version;
    // The door is last: it hands its streams to the sequencer at once, which must know of the epoch
    // by then.
    const auto is_last = [](const role& who) {
      return who.kind == role_kind::ingress && !TROUPE_MUTANT(door_wired_early);
    };
    for (const bool last : {false, true})
      for (const auto& [who, part] : parts)
        if (is_last(who) == last)
          self->send(caf::actor_cast<wired_part>(part.handle), wire{state.epoch, current, kv_lost});
  }

  void note_wired(const wired& in) {
    if (in.epoch != state.epoch || stopping || given_up) return;
    if (in.part == gateway_number) return wire_parts();
    bool all = true;
    for (auto& [who, part] : parts) {
      if (part.number == in.part) part.wired = true;
      all = all && part.wired;
    }
    if (!all) return;
    // Nothing of this epoch runs on the device of a node without roles. It may be lost or hang, and
    // the others do not wait for that.
    if (seat.value && dataflow::roles_of(state.where, place()).empty())
      become_ready(state.epoch);
    else
      fence();
  }

  void fence() {
    if (TROUPE_MUTANT(fence_not_awaited)) return pass_fence({state.epoch, status_code::ok});
    auto done = [to = caf::actor_cast<self_type>(self), epoch = state.epoch](const status& s) {
      caf::anon_send(to, fence_passed{epoch, s.code()});
    };
    const auto s = resources().executor->submit([](compute::kernels&) {}, std::move(done));
    if (!s.ok()) return fail_device(text("the executor takes no work: ", s.why()));
    if (resources().step_max > duration(0))
      self->delayed_send(self, resources().step_max, fence_overdue{state.epoch});
  }

  void pass_fence(const fence_passed& in) {
    if (in.code != status_code::ok) return fail_device("the device does no work any more");
    if (!condition.serving && !device_lost) { // it hung, and does no more
      condition.serving = true;
      tell_condition();
    }
    become_ready(in.epoch);
  }

  void become_ready(uint64_t epoch) {
    // A node that is left out of the epoch waits for one that takes it in.
    if (epoch != state.epoch || stopping || given_up || !takes_part()) return;
    condition.epoch_ready = epoch;
    resources().trace->hit("epoch.ready", epoch);
    if (!seat.value) return go({epoch});
    self->send(seat->gateway, open_gate{epoch});
    tell_condition();
    if (gone == epoch) go({epoch}); // of a later epoch it says nothing about this one
  }

  void look_at_fence(const fence_overdue& in) {
    if (in.epoch != state.epoch || condition.epoch_ready >= in.epoch || !condition.serving) return;
    log::error("the device does not come to an end with its work; this node computes no more");
    condition.serving = false;
    resources().trace->hit("device.hung", in.epoch);
    tell_condition();
  }

  // Everybody is ready for this epoch.
  void go(const epoch_go& in) {
    gone = std::max(gone, in.epoch);
    if (in.epoch != state.epoch || condition.epoch_ready != in.epoch || started == in.epoch) return;
    started = in.epoch;
    resources().trace->hit("epoch.go", in.epoch);
    if (const auto sequencer = local<actors::sequencer>({role_kind::sequencer, 0}))
      self->send(sequencer, pipeline_ready{in.epoch});
    if (options.ready) options.ready(current);
  }

  // -- trouble

  void lost(const caf::down_msg& down) {
    for (const auto& service : services())
      if (service.address() == down.source && !stopping)
        return give_up("a part that ties this node to the others failed");
    const auto found = std::find_if(parts.begin(), parts.end(), [&down](const auto& entry) {
      return entry.second.handle.address() == down.source;
    });
    if (found == parts.end()) return;
    const role who = found->first;
    parts.erase(found);
    if (stopping) return quit_when_all_down();
    if (!given_up) restart(who, caf::to_string(down.reason));
  }

  void restart(const role& who, const std::string& reason) {
    const auto decision = policy->on_failure(resources().time->now());
    // The clients' streams live in the ingress; nobody else on this node could go on with them.
    if (decision.escalate || who.kind == role_kind::ingress)
      return give_up(text(to_string(who), " failed: ", reason));
    log::warn(text("restarting ", to_string(who), " after ", reason));
    resources().trace->hit("part.restarted", static_cast<uint64_t>(who.kind));
    count(resources().board->restarts);
    if (!TROUPE_MUTANT(restart_not_told)) ++condition.generation;
    // The bytes of its KV pages go with a stage.
    if (who.kind == role_kind::attention_stage) ++condition.stages_lost;
    self->delayed_send(self, decision.pause, restart_part{1});
  }

  // In a cluster the others must follow: a new epoch comes, and brings the part back.
  void restart_now() {
    if (stopping || given_up) return;
    if (seat.value) return tell_condition();
    begin_epoch();
  }

  // Of a node of its own.
  void begin_epoch() {
    ++state.epoch;
    state.kv_version = 1 + condition.stages_lost;
    settle();
  }

  void note_stuck(const pipeline_stuck& in) {
    if (in.epoch != state.epoch || stopping || given_up) return;
    log::warn(text("step ", in.step, " of epoch ", in.epoch, " does not come to an end"));
    if (!seat.value) return begin_epoch();
    condition.epoch_stuck = in.epoch;
    tell_condition();
  }

  void note_device(const device_failed& in) { fail_device(in.why); }

  void fail_device(const std::string& why) {
    if (std::exchange(device_lost, true)) return;
    resources().trace->hit("device.lost", state.epoch);
    if (!seat.value) return give_up(text("the device is lost: ", why));
    log::error(text("the device is lost: ", why, "; this node computes no more"));
    condition.serving = false;
    tell_condition();
  }

  void outdated(const node_outdated& in) {
    if (!stopping && !given_up)
      give_up(text("a later start of this node, ", in.incarnation, ", has been heard of"));
  }

  void give_up(const std::string& why) {
    given_up = true;
    log::error(text("this node cannot go on: ", why));
    resources().board->failed.store(true, std::memory_order_relaxed);
    if (const auto door = local<ingress>({role_kind::ingress, 0}))
      self->send(door, pipeline_failed{why});
    if (options.gave_up) options.gave_up(why);
  }

  // -- the end

  void stop() {
    if (std::exchange(stopping, true)) return;
    for (const auto& [who, part] : parts)
      self->send(caf::actor_cast<wired_part>(part.handle), stop_part{state.epoch});
    if (seat.value) {
      self->send(seat->membership, stop_part{state.epoch});
      self->send(seat->coordinator, stop_part{state.epoch});
      self->send(seat->gateway, stop_part{state.epoch});
    }
    quit_when_all_down();
  }

  void quit_when_all_down() {
    if (!parts.empty()) return;
    current = {}; // our own handle is in it and would keep us alive
    seat = {};
    self->quit();
  }

  self_pointer self;
  node_supervisor_options options;
  std::optional<dataflow::restart_policy> policy;
  local_ref<cluster_seat> seat; // null: a node of its own, or not joined yet
  cluster_state state;          // newest
  std::map<role, part> parts;   // that are up
  local_ref<route_table> current;
  node_condition condition;
  uint64_t kv_version = 0; // the KV-cache manager was last told
  uint64_t gone = 0;       // the newest epoch everybody was ready for
  uint64_t started = 0;    // the epoch the sequencer was told to begin
  uint32_t last_number = gateway_number;
  bool device_lost = false;
  bool stopping = false;
  bool given_up = false;
};

self_type::behavior_type node_supervisor_behavior(node_supervisor_state::self_pointer self,
                                                  node_supervisor_options options) {
  auto* state = &self->state;
  state->start(std::move(options));
  return {
      [state](const wired& in) { state->note_wired(in); },
      [state](const pipeline_stuck& in) { state->note_stuck(in); },
      [state](const device_failed& in) { state->note_device(in); },
      [state](const stop_node&) { state->stop(); },
      [state](const join_cluster& in) { state->join(in); },
      [state](const apply_state& in) { state->apply(in); },
      [state](const epoch_go& in) { state->go(in); },
      [state](const node_outdated& in) { state->outdated(in); },
      [state](const restart_part&) { state->restart_now(); },
      [state](const fence_passed& in) { state->pass_fence(in); },
      [state](const fence_overdue& in) { state->look_at_fence(in); },
  };
}

} // namespace

node_supervisor spawn_node_supervisor(caf::actor_system& system,
                                      const node_supervisor_options& options) {
  return system.spawn(node_supervisor_behavior, options);
}

} // namespace troupe::actors
