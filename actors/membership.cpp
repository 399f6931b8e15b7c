// Carries reports to dataflow::membership_table and its findings to coordinator and supervisor.
#include "actors/membership.hpp"

#include "actors/metrics_board.hpp"
#include "base/log.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"
#include "dataflow/load_balance.hpp"
#include "dataflow/membership_rules.hpp"
#include "dataflow/placement.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::actors {

// Time for the next report.
struct membership_tick {
  uint64_t number = 0;
};
// Somebody who was cut off may be suspect by now.
struct membership_look {
  uint64_t reason = 0; // for traces only
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, membership_tick& x) {
  return f(caf::meta::type_name("membership_tick"), x.number);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, membership_look& x) {
  return f(caf::meta::type_name("membership_look"), x.reason);
}

namespace {

std::string hexadecimal(uint64_t number) {
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[number >> shift & 15];
  return out;
}

using schemas::node_index;
using self_type =
    membership::extend<caf::reacts_to<membership_tick>, caf::reacts_to<membership_look>>;

struct membership_state {
  using self_pointer = self_type::stateful_pointer<membership_state>;
  static inline const char* name = "membership";

  explicit membership_state(self_pointer owner) : self(owner) {}

  void start(const membership_options& o) {
    options = o;
    table.emplace(*o.layout, *o.timing, o.self, o.incarnation, o.time->now());
    own.node = o.self;
    own.incarnation = o.incarnation;
    own.model = o.model;
    own.layout = o.layout_number;
    own.speed = o.figures.speed;
    own.memory = o.figures.memory;
    if (o.graph != nullptr) rows.emplace(o.graph->shards.size());
    refused.assign(o.layout->nodes.size(), 0);
    heard_before = table->hears(o.time->now());
    tick();
  }

  // -- what is heard

  void arrive(const report_arrived& in) {
    using verdict = dataflow::membership_table::verdict;
    const auto& report = *in.report;
    const auto now = options.time->now();
    if (const auto how = dataflow::difference_between(own, report);
        how != dataflow::difference::none)
      return refuse(report, how);
    const bool was_connected = report.node < heard_before.size() && heard_before[report.node] != 0;
    if (table->on_report(report, now) == verdict::stale) return;
    if (options.heard) options.heard(report);
    if (table->newest_incarnation(options.self) > options.incarnation)
      self->send(options.peers.supervisor, node_outdated{table->newest_incarnation(options.self)});
    if (report.epoch_go > own.epoch_go) go(report.epoch_go);
    look_for_go();
    // What the leader waits for is worth a look at once; the rest can wait for the tick.
    if (table->should_lead(now) && (!was_connected || is_news(report))) tell_coordinator(now);
  }

  // As if it had not been heard.
  void refuse(const schemas::node_report& report, dataflow::difference how) {
    if (report.node >= refused.size() || report.node == options.self) return;
    const auto why = explain(report, how);
    if (std::exchange(refused[report.node], report.incarnation) != report.incarnation) {
      log::error(why);
      return send_report(options.time->now()); // the other one shall know as well, before we go
    }
    if (!unfit && dataflow::must_yield(own, report)) {
      unfit = true;
      if (options.unfit) options.unfit(why);
    }
  }

  std::string explain(const schemas::node_report& report, dataflow::difference how) const {
    const auto& names = options.layout->nodes;
    const auto both =
        text("nodes ", names[options.self], " and ", names[report.node], " cannot work together: ");
    if (how == dataflow::difference::model)
      return text(both, "their models differ in weights, format or tokenizer (fingerprint ",
                  hexadecimal(own.model), " on ", names[options.self], ", ",
                  hexadecimal(report.model), " on ", names[report.node], ")");
    return text(both, "their cluster files differ in names, stages or shards");
  }

  void cut_off(const peer_cut_off& in) {
    const auto now = options.time->now();
    const auto by = table->on_cut_off(in.node, in.incarnation, now);
    if (by) self->delayed_send(self, std::max(duration(0), *by - now), membership_look{});
  }

  // Whether a leader may have to act on it.
  bool is_news(const schemas::node_report& report) const {
    if (!state.value || report.node >= state->members.size()) return true;
    const auto& member = state->members[report.node];
    return report.incarnation != member.incarnation || report.generation != member.generation ||
           report.epoch_stuck == state->epoch || report.epoch > state->epoch ||
           (report.serving && !report.draining) != member.serving ||
           (report.draining && member.serving && !report.has_streams);
  }

  // -- what this node says

  void change(const node_condition& in) {
    own.epoch_ready = in.epoch_ready;
    own.epoch_stuck = in.epoch_stuck;
    own.generation = in.generation;
    own.stages_lost = in.stages_lost;
    own.serving = in.serving;
    look_for_go();
    announce();
  }

  void learn(const state_learned& in) {
    state = in.state;
    own.epoch = state->epoch;
    table->agreed(*state.value);
    look_for_go();
    announce();
  }

  void drain(const begin_drain&) {
    if (std::exchange(own.draining, true)) return;
    log::info("draining: handing roles to other nodes");
    announce();
  }

  void note_leading(const leading_changed& in) {
    store_says_lead = in.leads;
    announce();
  }

  // What follows from silence follows at once.
  void look() {
    if (note_suspects(options.time->now())) announce();
  }

  void tick() {
    const auto now = options.time->now();
    note_suspects(now);
    send_report(now);
    tell_coordinator(now);
    look_after_drain();
    self->delayed_send(self, options.timing->report_every, membership_tick{++ticks});
  }

  // Something has changed that others wait for.
  void announce() {
    const auto now = options.time->now();
    send_report(now);
    tell_coordinator(now);
  }

  void send_report(time_point now) {
    ++own.number;
    own.hears = table->hears(now);
    own.majority = table->has_majority(now);
    own.leads = options.layout->voters == 0 ? store_says_lead : table->should_lead(now);
    own.has_streams = options.board->streams_open.load(std::memory_order_relaxed) > 0;
    count_rows(now);
    if (options.heard) options.heard(own);
    self->send(options.peers.gateway,
               send_datagram{schemas::no_node, make_local(schemas::frame_body(own))});
  }

  void count_rows(time_point now) {
    if (!rows || !rows->due(now)) return;
    std::vector<uint64_t> totals;
    for (const auto& shard : options.graph->shards) {
      uint64_t sum = 0;
      for (uint32_t n = 0; n < shard.count; ++n) sum += options.board->expert_rows(shard.expert(n));
      totals.push_back(sum);
    }
    rows->observe(totals, now);
    own.shard_rows = rows->rows();
  }

  void tell_coordinator(time_point now) {
    leading_view out;
    out.should_lead = table->should_lead(now);
    if (out.should_lead) out.view = dataflow::view_of(*table, own, now);
    self->send(options.peers.coordinator, view_changed{make_local(std::move(out))});
  }

  bool note_suspects(time_point now) {
    auto heard = table->hears(now);
    bool found = false;
    for (node_index node = 0; node < heard.size(); ++node)
      if (heard_before[node] != 0 && heard[node] == 0) {
        found = true;
        options.trace->hit("node.suspected", node);
        log::warn(text(options.layout->nodes[node], " is silent"));
      }
    heard_before = std::move(heard);
    return found;
  }

  // -- the start of an epoch

  // Whoever sees that everybody is ready says so; it stays true.
  void look_for_go() {
    if (!state.value || state->epoch <= own.epoch_go || state->epoch == 0) return;
    for (node_index node = 0; node < state->members.size(); ++node) {
      if (!state->members[node].present) continue;
      const auto* report = node == options.self ? &own : table->report(node);
      if (report == nullptr || report->incarnation != state->members[node].incarnation ||
          (report->epoch_ready != state->epoch && !TROUPE_MUTANT(go_before_all_ready)))
        return;
    }
    go(state->epoch);
  }

  void go(uint64_t epoch) {
    own.epoch_go = epoch;
    self->send(options.peers.supervisor, epoch_go{epoch});
  }

  // -- leaving

  void look_after_drain() {
    if (!own.draining || left || !state.value) return;
    const bool has_roles = !dataflow::roles_of(state->where, options.self).empty();
    if ((has_roles && others_are_left()) ||
        (options.board->streams_open.load(std::memory_order_relaxed) > 0 &&
         !TROUPE_MUTANT(drain_forgets_streams)))
      return;
    left = true;
    log::info("drained: nothing depends on this node any more");
    if (options.drained) options.drained();
  }

  // Whether anybody takes part that stays, or still has streams.
  bool others_are_left() const {
    const auto now = options.time->now();
    for (schemas::node_index n = 0; n < state->members.size(); ++n) {
      if (n == options.self || !state->members[n].present) continue;
      const auto* report = table->report(n);
      if (report == nullptr || !report->draining) return true;
      if (report->has_streams && table->connected(n, now)) return true;
    }
    return false;
  }

  self_pointer self;
  membership_options options;
  std::optional<dataflow::membership_table> table;
  schemas::node_report own;
  local_ref<schemas::cluster_state> state; // newest this node has applied
  std::vector<uint64_t> heard_before;
  std::optional<dataflow::row_window> rows; // of shards, counted here
  std::vector<uint64_t> refused;            // per node: the incarnation that was complained of
  bool unfit = false;
  uint64_t ticks = 0;
  bool left = false;
  bool store_says_lead = false; // where nobody votes
};

self_type::behavior_type membership_behavior(membership_state::self_pointer self,
                                             membership_options options) {
  auto* state = &self->state;
  state->start(options);
  return {
      [state](const report_arrived& in) { state->arrive(in); },
      [state](const peer_cut_off& in) { state->cut_off(in); },
      [state](const node_condition& in) { state->change(in); },
      [state](const state_learned& in) { state->learn(in); },
      [state](const begin_drain& in) { state->drain(in); },
      [state](const leading_changed& in) { state->note_leading(in); },
      [self, state](const stop_part&) {
        state->options.peers = {};
        self->quit();
      },
      [state](const membership_tick&) { state->tick(); },
      [state](const membership_look&) { state->look(); },
  };
}

} // namespace

membership spawn_membership(caf::actor_system& system, const membership_options& options) {
  return system.spawn(membership_behavior, options);
}

} // namespace troupe::actors
