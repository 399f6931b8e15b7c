// Carries what dataflow::lease_keeper wants to the store, one question at a time, and, where this
// node leads, moves the cluster from state to state. While the store does not answer nothing is
// decided, and the present epoch goes on.
#include "actors/store_coordinator.hpp"

#include "base/check.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "dataflow/membership_rules.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <optional>
#include <utility>
#include <variant>

namespace troupe::actors {

// What the store says to the question of this number.
struct store_answered {
  uint64_t question = 0;
  local_ref<result<storage::store_answer>> answer;
};
// Time to see whether the store must be asked something.
struct store_tick {
  uint64_t number = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, store_answered& x) {
  return f(caf::meta::type_name("store_answered"), x.question, x.answer);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, store_tick& x) {
  return f(caf::meta::type_name("store_tick"), x.number);
}

namespace {

using schemas::cluster_state;
using schemas::frame_body;
using schemas::node_index;
using self_type = coordinator::extend<caf::reacts_to<store_answered>, caf::reacts_to<store_tick>>;

constexpr duration tick_every = std::chrono::milliseconds(100);

// What the store has been asked for.
struct question {
  enum class what : uint8_t { read, campaign, keep, end, replace };
  what kind = what::read;
  time_point at;
  bool in_touch = false; // of a campaign
};

struct store_coordinator_state {
  using self_pointer = self_type::stateful_pointer<store_coordinator_state>;
  static inline const char* name = "store_coordinator";

  explicit store_coordinator_state(self_pointer owner) : self(owner) {}

  void start(const store_coordinator_options& o) {
    options = o;
    layout_number = dataflow::fingerprint(*o.layout);
    keeper.emplace(o.lease, dataflow::first_allowance(*o.timing), o.self, o.incarnation,
                   o.time->now());
    doors.emplace(*o.timing, static_cast<uint32_t>(o.layout->nodes.size()));
    pause.emplace(*o.timing);
    tick();
  }

  void tick() {
    act();
    self->delayed_send(self, tick_every, store_tick{++ticks});
  }

  // -- what the membership sees

  void look(const view_changed& in) {
    if (self->current_sender() != nullptr)
      watcher = caf::actor_cast<leadership_watcher>(self->current_sender());
    view = in.now;
    // Somebody knows of a later state: the store, or a peer, will tell.
    for (const auto& report : view->view.reports)
      if (report && report->epoch > known.epoch) keeper->unsure();
    tell_laggards();
    act();
  }

  // The leader tells everybody. A leader that found the store empty must hear from anybody who
  // knows better.
  void tell_laggards() {
    if (known.epoch == 0) return;
    const bool leading = keeper->leads(options.time->now());
    const bool forgotten = seen.state.epoch < known.epoch;
    for (const auto& report : view->view.reports)
      if (report && report->node != options.self && report->epoch < known.epoch &&
          (leading || (forgotten && report->leads)))
        send(report->node, schemas::state_update{known});
  }

  void send(node_index to, frame_body body) {
    self->send(options.gateway, send_datagram{to, make_local(std::move(body))});
  }

  // -- the store

  void act() {
    using step = dataflow::lease_keeper::step;
    const auto now = options.time->now();
    const auto outlook = look_around();
    const auto next = keeper->next(outlook, now); // also while an answer is waited for
    tell_leading(now);
    if (asked) return;
    auto& store = *options.store;
    switch (next) {
      case step::wait:
        return decide(now);
      case step::read:
        return store.read(ask({question::what::read, now}));
      case step::campaign:
        return store.campaign(options.layout->nodes[options.self], options.incarnation,
                              options.lease.term,
                              ask({question::what::campaign, now, outlook.in_touch}));
      case step::keep:
        return store.keep(keeper->lease(), ask({question::what::keep, now}));
      case step::end:
        log::info(text("the lease of ", name_of(keeper->holder()->node), " is ended"));
        options.trace->hit("lease.ended", keeper->holder()->node);
        return store.end(keeper->lease(), ask({question::what::end, now}));
    }
  }

  dataflow::lease_outlook look_around() const {
    if (!view.value) return {};
    return dataflow::look_around(view->view, view->should_lead, known, keeper->holder());
  }

  std::string name_of(node_index node) const {
    return node < options.layout->nodes.size() ? options.layout->nodes[node] : "a stranger";
  }

  storage::state_store::answered ask(question what) {
    asked = what;
    return [to = caf::actor_cast<self_type>(self),
            number = ++questions](result<storage::store_answer> answer) {
      caf::anon_send(to, store_answered{number, make_local(std::move(answer))});
    };
  }

  void hear(const store_answered& in) {
    if (!asked || in.question != questions) return;
    const question what = *std::exchange(asked, std::nullopt);
    const auto now = options.time->now();
    const auto& answer = *in.answer;
    note_reachable(answer);
    if (answer)
      take(what, *answer, now);
    else
      keeper->failed(now);
    act();
  }

  void take(const question& what, const storage::store_answer& answer, time_point now) {
    switch (what.kind) {
      case question::what::read:
        keeper->seen(holder_of(answer.now), now);
        return note(answer.now);
      case question::what::campaign:
        keeper->campaigned(holder_of(answer.now), what.in_touch, what.at, now);
        if (keeper->leads(now)) options.trace->hit("leader.begins", options.self);
        return note(answer.now);
      case question::what::keep:
        if (answer.done) return keeper->kept(what.at);
        log::warn("the lease of this node has ended before it was kept");
        return keeper->ended(now);
      case question::what::end:
        return keeper->ended(now);
      case question::what::replace:
        keeper->seen(holder_of(answer.now), now);
        note(answer.now);
        if (answer.done) return agreed(answer.now.state);
        options.trace->hit("store.refused", options.self);
        log::warn("the store refused a state: somebody else has led since");
    }
  }

  std::optional<dataflow::lease_holder> holder_of(const storage::store_contents& contents) const {
    if (!contents.leader) return {};
    const auto& leader = *contents.leader;
    return dataflow::lease_holder{options.layout->index_of(leader.node).value_or(schemas::no_node),
                                  leader.incarnation, leader.lease};
  }

  // Once when it begins and once when it ends: calls are many.
  void note_reachable(const result<storage::store_answer>& answer) {
    const auto code = answer ? status_code::ok : answer.error().code();
    if (code == std::exchange(store_is, code)) return;
    if (answer) return log::info("the store of the cluster's state answers again");
    options.trace->hit("store.failed", options.self);
    log::warn(text(answer.error().why(),
                   "; the present epoch goes on, and nothing is decided until the store answers"));
  }

  void note(const storage::store_contents& contents) {
    seen = contents;
    const bool fits = seen.revision == 0 || seen.layout == layout_number;
    if (fits != std::exchange(store_fits, fits) && !fits)
      log::error(
          "the stored state is of a cluster with other nodes, stages, shards or another "
          "model; give this cluster a prefix of its own, or delete the key PREFIX/state");
    if (fits) learn(seen.state);
  }

  void tell_leading(time_point now) {
    const bool leads = keeper->leads(now);
    if (leads != std::exchange(leading, leads))
      log::info(leads ? "this node leads the cluster" : "this node leads the cluster no longer");
    if (!watcher || told == leads) return;
    told = leads;
    self->send(watcher, leading_changed{leads});
  }

  // -- the leader

  void decide(time_point now) {
    if (!keeper->may_decide(now) || !store_fits || !view.value || !view->should_lead) return;
    if (view->view.reports[options.self]->epoch < known.epoch) return; // a view of before
    if (seen.state.epoch < known.epoch) {
      log::warn(text("the store holds epoch ", seen.state.epoch, ", the cluster is in epoch ",
                     known.epoch, ": writing it back"));
      return replace(known);
    }
    auto change =
        dataflow::next_state(view->view, *options.layout, known, *doors, now, pause->over(now));
    if (!change) return;
    log::info(text("epoch ", change->next.epoch, ": ", change->why));
    if (change->by_load) options.trace->hit("epoch.by_load", change->next.epoch);
    if (!change->no_room.empty()) log::error(text("no room: ", change->no_room));
    options.trace->hit("epoch.proposed", change->next.epoch);
    replace(std::move(change->next));
  }

  void replace(cluster_state next) {
    TROUPE_CHECK(seen.leader.has_value());
    const storage::store_contents contents{
        .leader = {}, .revision = seen.revision, .layout = layout_number, .state = std::move(next)};
    options.store->replace(*seen.leader, contents,
                           ask({question::what::replace, options.time->now()}));
  }

  void agreed(const cluster_state& state) {
    options.trace->hit("epoch.agreed", state.epoch);
    send(schemas::no_node, schemas::state_update{state});
  }

  // -- what is agreed

  // Votes come from nodes that are configured otherwise; nobody listens to them.
  void take_vote(const vote_arrived& in) {
    if (const auto* update = std::get_if<schemas::state_update>(&*in.body)) learn(update->state);
  }

  void learn(const cluster_state& state) {
    if (state.epoch <= known.epoch) return;
    doors->observe(known, state, options.time->now());
    pause->observe(options.time->now());
    known = state;
    self->send(options.supervisor, apply_state{make_local(known)});
  }

  // Whoever comes next need not wait for the end of the lease.
  void stop() {
    if (keeper->leads(options.time->now()))
      options.store->end(keeper->lease(), [](const result<storage::store_answer>&) {});
    options.gateway = nullptr;
    options.supervisor = nullptr;
    watcher = nullptr;
    self->quit();
  }

  self_pointer self;
  store_coordinator_options options;
  uint64_t layout_number = 0;
  std::optional<dataflow::lease_keeper> keeper;
  std::optional<dataflow::readmission> doors;
  std::optional<dataflow::rebalance_pause> pause;
  cluster_state known;          // the newest state known to be agreed
  storage::store_contents seen; // what the store held when it last answered
  local_ref<leading_view> view;
  leadership_watcher watcher;
  std::optional<bool> told; // the watcher
  bool leading = false;     // as last logged
  status_code store_is = status_code::ok;
  bool store_fits = true;
  std::optional<question> asked; // not answered yet
  uint64_t questions = 0;
  uint64_t ticks = 0;
};

self_type::behavior_type store_coordinator_behavior(store_coordinator_state::self_pointer self,
                                                    store_coordinator_options options) {
  auto* state = &self->state;
  state->start(options);
  return {
      [state](const vote_arrived& in) { state->take_vote(in); },
      [state](const view_changed& in) { state->look(in); },
      [state](const stop_part&) { state->stop(); },
      [state](const store_answered& in) { state->hear(in); },
      [state](const store_tick&) { state->tick(); },
  };
}

} // namespace

coordinator spawn_store_coordinator(caf::actor_system& system,
                                    const store_coordinator_options& options) {
  TROUPE_CHECK(options.store != nullptr && options.layout->voters == 0);
  return system.spawn(store_coordinator_behavior, options);
}

} // namespace troupe::actors
