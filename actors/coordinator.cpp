// Votes in the register and, where this node leads, moves the cluster from state to state. An
// answer of the acceptor leaves this node only when what it promises is durable.
#include "actors/coordinator.hpp"

#include "base/log.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"
#include "dataflow/placement.hpp"
#include "dataflow/replicated_register.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace troupe::actors {

// The voter's state of this ticket is durable, or could not be made so.
struct votes_stored {
  uint64_t ticket = 0;
  bool stored = false;
  std::string why; // not stored
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, votes_stored& x) {
  return f(caf::meta::type_name("votes_stored"), x.ticket, x.stored, x.why);
}

namespace {

using schemas::cluster_state;
using schemas::frame_body;
using schemas::node_index;
using outcome = dataflow::register_proposer::outcome;
using self_type = coordinator::extend<caf::reacts_to<votes_stored>>;

// An answer that waits for the state behind it to be durable.
struct held_answer {
  uint64_t ticket = 0;
  node_index to = schemas::no_node;
  frame_body body;
};

constexpr size_t held_max = 256;

struct coordinator_actor_state {
  using self_pointer = self_type::stateful_pointer<coordinator_actor_state>;
  static inline const char* name = "coordinator";

  explicit coordinator_actor_state(self_pointer owner) : self(owner) {}

  void start(const coordinator_options& o) {
    options = o;
    if (TROUPE_MUTANT(lost_memory_votes)) options.remembers = true;
    const auto& layout = *o.layout;
    doors.emplace(*o.timing, static_cast<uint32_t>(layout.nodes.size()));
    pause.emplace(*o.timing);
    if (!layout.is_voter(o.self)) return;
    acceptor.emplace(o.votes, options.remembers);
    if (options.remembers) options.trace->hit("votes.loaded", o.votes.promised.round);
    proposer.emplace(layout, o.self, o.incarnation);
    if (!options.remembers) {
      log::warn("this voter has lost its memory; it votes again when the others have told it");
      recovery.emplace(layout, o.self, o.incarnation);
    }
  }

  // -- the voter

  void vote(const vote_arrived& in) {
    std::visit([this, &in](const auto& body) { take(body, in.from); }, *in.body);
  }

  void take(const schemas::register_prepare& in, node_index from) {
    if (!acceptor) return;
    options.trace->hit("register.prepare", in.number.round);
    if (auto promise = acceptor->on_prepare(in)) answer(from, promise->answer, promise->changed);
  }

  void take(const schemas::register_accept& in, node_index from) {
    if (!acceptor) return;
    options.trace->hit("register.accept", in.number.round);
    if (auto acceptance = acceptor->on_accept(in))
      answer(from, acceptance->answer, acceptance->changed);
  }

  void take(const schemas::register_recover& in, node_index from) {
    if (!acceptor) return;
    // What we tell must be as durable as a vote, since another's votes will rest on it.
    if (auto known = acceptor->on_recover(from, in)) answer(from, known->answer, known->changed);
  }

  // An answer may rest on a state whose storing is still under way, also when it changed nothing.
  void answer(node_index to, frame_body body, bool changed) {
    if (changed) keep();
    if (stored_ticket == last_ticket || TROUPE_MUTANT(vote_before_durable))
      return send(to, std::move(body));
    // While a disk stands still nothing may pile up; whoever lacks an answer asks again.
    if (held.size() >= held_max) held.pop_front();
    held.push_back({last_ticket, to, std::move(body)});
  }

  void keep() {
    const auto ticket = ++last_ticket;
    options.keep_votes(acceptor->state(),
                       [to = caf::actor_cast<self_type>(self), ticket](const status& s) {
                         caf::anon_send(to, votes_stored{ticket, s.ok(), s.why()});
                       });
  }

  void stored(const votes_stored& in) {
    if (in.stored) {
      options.trace->hit("votes.stored", in.ticket);
      stored_ticket = std::max(stored_ticket, in.ticket);
      if (std::exchange(silenced, false)) log::info("this voter stores its votes again");
      while (!held.empty() && held.front().ticket <= stored_ticket) {
        send(held.front().to, std::move(held.front().body));
        held.pop_front();
      }
      return;
    }
    // What is not durable is not said. The newest state contains the older ones, so another try
    // covers all of them; it comes with the next tick.
    if (!std::exchange(silenced, true))
      log::error(text("this voter cannot store its votes; it stays silent until it can: ", in.why));
    store_failed = true;
  }

  // To another voter, or to the proposer of this very node.
  void send(node_index to, frame_body body) {
    note_told(body);
    if (to == options.self) return std::visit([this, to](const auto& b) { take(b, to); }, body);
    self->send(options.gateway, send_datagram{to, make_local(std::move(body))});
  }

  // From here on others rest on what this voter has promised, so it must never forget it.
  void note_told(const frame_body& body) {
    if (const auto* promise = std::get_if<schemas::register_promise>(&body); promise != nullptr)
      if (promise->granted) options.trace->hit("votes.told", promise->number.round);
    if (const auto* vote = std::get_if<schemas::register_accepted>(&body); vote != nullptr)
      if (vote->granted) options.trace->hit("votes.told", vote->number.round);
  }

  void ask_voters(const frame_body& question) {
    for (const auto node : proposer->unanswered()) send(node, question);
  }

  // -- memory lost

  void take(const schemas::register_recovered& in, node_index from) {
    if (!recovery || recovery->done() || !recovery->on_recovered(from, in)) return;
    acceptor.emplace(recovery->state(), true);
    log::info("this voter knows again what the others know");
    options.trace->hit("register.recovered", in.nonce);
    recovery.reset();
    keep();
  }

  void ask_memory() {
    for (const auto node : recovery->unanswered()) send(node, recovery->question());
  }

  // -- the leader

  void look(const view_changed& in) {
    if (recovery) ask_memory();
    if (store_failed && acceptor) {
      store_failed = false;
      keep();
    }
    const auto& now = *in.now;
    if (!proposer || !now.should_lead || !acceptor->remembers()) {
      leading = false;
      if (proposer) proposer->give_up();
      return;
    }
    // Whether we should lead is a question of the newest state.
    if (now.view.reports[options.self]->epoch < known.epoch) return;
    view = in.now;
    if (!std::exchange(leading, true)) {
      options.trace->hit("leader.begins", options.self);
      must_read = true;
    }
    if (proposer->busy()) return push();
    tell_laggards();
    for (const auto& report : now.view.reports)
      if (report && report->epoch > known.epoch) must_read = true;
    if (must_read || next()) start_round();
  }

  // The next state as this node sees it, from what it knows to be agreed.
  std::optional<dataflow::state_change> next_from(const cluster_state& current) const {
    const auto now = options.time->now();
    return dataflow::next_state(view->view, *options.layout, current, *doors, now,
                                pause->over(now));
  }
  bool next() const { return next_from(known).has_value(); }

  void start_round() {
    begun = options.time->now();
    ask_voters(proposer->begin(begun));
  }

  // Messages get lost, and others may have been faster.
  void push() {
    if (proposer->overdue(options.time->now(), options.timing->vote_timeout)) {
      proposer->give_up();
      return start_round();
    }
    std::visit([this](const auto& question) { ask_voters(question); }, proposer->question());
  }

  void take(const schemas::register_promise& in, node_index from) {
    if (!proposer || !leading) return;
    settle(proposer->on_promise(from, in));
  }

  void take(const schemas::register_accepted& in, node_index from) {
    if (!proposer || !leading) return;
    settle(proposer->on_accepted(from, in));
  }

  void settle(outcome result) {
    switch (result) {
      case outcome::waiting:
        return;
      case outcome::refused:
        options.trace->hit("register.refused", options.self);
        proposer->give_up(); // the next look tries again, if we still lead
        return;
      case outcome::read:
        return decide();
      case outcome::committed:
        return agreed();
    }
  }

  // The register's value is known; it may be newer than what we know, or half written by a leader
  // that is gone. Writing it back finishes that.
  void decide() {
    must_read = false;
    const cluster_state current = TROUPE_MUTANT(leader_trusts_own_view)
                                      ? known
                                      : proposer->current().value_or(cluster_state{});
    if (current.epoch > known.epoch) { // who leads may be another question there
      ask_voters(proposer->propose(current));
    } else if (auto change = next_from(current)) {
      log::info(text("epoch ", change->next.epoch, ": ", change->why));
      if (change->by_load) options.trace->hit("epoch.by_load", change->next.epoch);
      if (!change->no_room.empty()) log::error(text("no room: ", change->no_room));
      options.trace->hit("epoch.proposed", change->next.epoch);
      ask_voters(proposer->propose(std::move(change->next)));
    } else {
      proposer->give_up();
    }
  }

  void agreed() {
    const cluster_state state = proposer->proposed();
    proposer->give_up();
    options.trace->hit("epoch.agreed", state.epoch);
    learn(state);
    self->send(
        options.gateway,
        send_datagram{schemas::no_node, make_local(frame_body(schemas::state_update{state}))});
  }

  void tell_laggards() {
    if (known.epoch == 0) return;
    for (const auto& report : view->view.reports)
      if (report && report->node != options.self && report->epoch < known.epoch)
        send(report->node, schemas::state_update{known});
  }

  // -- what is agreed

  void take(const schemas::state_update& in, node_index) { learn(in.state); }

  void learn(const cluster_state& state) {
    if (state.epoch <= known.epoch) return;
    doors->observe(known, state, options.time->now());
    pause->observe(options.time->now());
    known = state;
    self->send(options.supervisor, apply_state{make_local(known)});
  }

  // Everything else has nothing to do with votes.
  template <class Other>
  void take(const Other&, node_index) {}

  void stop() {
    options.gateway = nullptr;
    options.supervisor = nullptr;
    self->quit();
  }

  self_pointer self;
  coordinator_options options;
  std::optional<dataflow::register_acceptor> acceptor; // of a voter
  std::optional<dataflow::register_proposer> proposer; // of a voter
  std::optional<dataflow::register_recovery> recovery; // of a voter without memory
  std::optional<dataflow::readmission> doors;
  std::optional<dataflow::rebalance_pause> pause;
  cluster_state known; // the newest state known to be agreed
  local_ref<leading_view> view;
  bool leading = false;
  bool must_read = false; // what the register holds may be newer than what we know
  time_point begun{};
  std::deque<held_answer> held;
  uint64_t last_ticket = 0;
  uint64_t stored_ticket = 0;
  bool store_failed = false;
  bool silenced = false; // said, until votes are stored again
};

self_type::behavior_type coordinator_behavior(coordinator_actor_state::self_pointer self,
                                              coordinator_options options) {
  auto* state = &self->state;
  state->start(options);
  return {
      [state](const vote_arrived& in) { state->vote(in); },
      [state](const view_changed& in) { state->look(in); },
      [state](const stop_part&) { state->stop(); },
      [state](const votes_stored& in) { state->stored(in); },
  };
}

} // namespace

coordinator spawn_coordinator(caf::actor_system& system, const coordinator_options& options) {
  return system.spawn(coordinator_behavior, options);
}

} // namespace troupe::actors
