// Keeps what every process has learned, was ready for and did, and compares.
#include "simulations/checkers/membership.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <set>

namespace troupe::simulations {
namespace {

using dataflow::cluster_state;
using dataflow::role;
using dataflow::role_kind;

// Whether the state lets the node play the role.
bool hosts(const cluster_state& state, uint32_t node, const role& who) {
  const auto& where = state.where;
  switch (who.kind) {
    case role_kind::sequencer:
    case role_kind::kv_cache_manager:
      return where.sequencer == node;
    case role_kind::attention_stage:
    case role_kind::gating_router:
      return who.index < where.stages.size() && where.stages[who.index] == node;
    case role_kind::expert_shard: {
      if (who.index >= where.shards.size()) return false;
      const auto& copies = where.shards[who.index];
      return std::find(copies.begin(), copies.end(), node) != copies.end();
    }
    default:
      return true; // every node has one of its own
  }
}

std::string host_text(uint32_t node) {
  return node == dataflow::no_node ? std::string("nobody") : text(node);
}

// The first thing in which two states of one epoch differ.
std::string difference(const cluster_state& a, const cluster_state& b) {
  if (a.kv_version != b.kv_version) return text("kv_version ", a.kv_version, " and ", b.kv_version);
  if (a.members.size() != b.members.size())
    return text(a.members.size(), " and ", b.members.size(), " members");
  for (size_t i = 0; i < a.members.size(); ++i) {
    const auto& left = a.members[i];
    const auto& right = b.members[i];
    if (left == right) continue;
    return text("node ", i, " incarnation ", left.incarnation, left.present ? " in" : " out",
                left.serving ? " serving" : "", " and incarnation ", right.incarnation,
                right.present ? " in" : " out", right.serving ? " serving" : "",
                left.generation != right.generation ? ", other generations" : "");
  }
  if (a.where.sequencer != b.where.sequencer)
    return text("sequencer ", host_text(a.where.sequencer), " and ", host_text(b.where.sequencer));
  for (size_t i = 0; i < std::min(a.where.stages.size(), b.where.stages.size()); ++i)
    if (a.where.stages[i] != b.where.stages[i])
      return text("attention_stage/", i, " at ", a.where.stages[i], " and ", b.where.stages[i]);
  for (size_t i = 0; i < std::min(a.where.shards.size(), b.where.shards.size()); ++i)
    if (a.where.shards[i] != b.where.shards[i]) return text("other copies of expert_shard/", i);
  return "other numbers of stages or shards";
}

// Whether the deque, with `now` added, holds more than `most` within the window.
bool too_many(std::deque<time_point>& times, time_point now, duration window, uint32_t most) {
  times.push_back(now);
  while (now - times.front() > window) times.pop_front();
  return times.size() > most;
}

} // namespace

duration detection_bound(const dataflow::cluster_timing& timing) {
  return timing.silence_max + timing.formation_wait + timing.pause_allowed +
         10 * timing.report_every + 20 * timing.vote_timeout;
}

// The peers notice it, and if it led another voter notices that it must lead; then the vote.
duration calm_detection_bound(const dataflow::cluster_timing& timing) {
  return 2 * (10 * timing.report_every + 2 * timing.pause_allowed) + timing.formation_wait +
         10 * timing.vote_timeout;
}

duration convergence_bound(const dataflow::cluster_timing& timing) {
  return detection_bound(timing) + timing.readmit_first + 20 * timing.report_every;
}

membership_checker::membership_checker(const dataflow::cluster_layout& layout,
                                       const dataflow::cluster_timing& timing,
                                       const membership_limits& limits)
    : layout_(layout), limits_(limits), nodes_(layout.nodes.size()) {
  if (limits_.detection_max <= duration{}) limits_.detection_max = detection_bound(timing);
  if (limits_.converge_max <= duration{}) limits_.converge_max = convergence_bound(timing);
  if (limits_.epochs_after_heal_max == 0)
    limits_.epochs_after_heal_max = 4 + 4 * static_cast<uint32_t>(nodes_.size());
  core_.assign(nodes_.size(), true);
  healed_ = limits.fault_free;
}

// -- the history

void membership_checker::started(uint32_t node, uint64_t incarnation, time_point now) {
  auto& state = nodes_.at(node);
  if (incarnation <= state.incarnation)
    note("M1",
         text(name(node), " starts as incarnation ", incarnation, ", it was ", state.incarnation),
         now);
  state = {};
  state.up = true;
  state.incarnation = incarnation;
  disturbed_ = now;
  std::erase_if(restarts_, [node](const auto& entry) { return entry.first.first == node; });
}

void membership_checker::crashed(uint32_t node, time_point now) {
  auto& state = nodes_.at(node);
  state.up = false;
  state.paused = false;
  state.crashed = now;
  state.crash_open = true;
  disturbed_ = now;
}

void membership_checker::paused(uint32_t node, time_point now) {
  nodes_.at(node).paused = true;
  disturbed_ = now;
}

void membership_checker::resumed(uint32_t node, time_point now) {
  nodes_.at(node).paused = false;
  disturbed_ = now;
}

void membership_checker::majority(bool connected, time_point now) {
  majority_ = connected;
  disturbed_ = now;
}

void membership_checker::healed(const std::vector<uint32_t>& core, time_point now) {
  healed_ = true;
  disturbed_ = now;
  epochs_since_heal_ = 0;
  core_.assign(nodes_.size(), false);
  for (const uint32_t node : core) core_.at(node) = true;
}

void membership_checker::disturbed(time_point now) {
  healed_ = false;
  disturbed_ = now;
}

void membership_checker::suspected(uint32_t node, uint32_t peer, time_point now) {
  if (limits_.fault_free)
    note("M2", text(name(node), " suspects ", name(peer), " although nothing is wrong"), now);
}

// Whether this process can do anything at all.
bool membership_checker::acts(uint32_t node, uint64_t incarnation, const std::string& what,
                              time_point now) {
  const auto& state = nodes_.at(node);
  if (state.up && state.incarnation == incarnation) return true;
  note(
      "M1",
      text(name(node), " incarnation ", incarnation, ' ', what, " although ",
           state.up ? text("incarnation ", state.incarnation, " runs") : std::string("it is down")),
      now);
  return false;
}

void membership_checker::learned(uint32_t node, uint64_t incarnation, const cluster_state& state,
                                 time_point now) {
  if (!acts(node, incarnation, text("learns epoch ", state.epoch), now)) return;
  auto& learner = nodes_[node];
  if (state.epoch < learner.epoch)
    note("M1", text(name(node), " goes back from epoch ", learner.epoch, " to epoch ", state.epoch),
         now);
  learner.epoch = std::max(learner.epoch, state.epoch);
  const auto known = epochs_.find(state.epoch);
  if (known == epochs_.end()) return check_state(node, state, now);
  if (known->second.state == state) return;
  note("M1",
       text("two states of epoch ", state.epoch, ": ", name(known->second.learned_by), " and ",
            name(node), " learned ", difference(known->second.state, state)),
       now);
}

// A state nobody has learned before.
void membership_checker::check_state(uint32_t node, const cluster_state& state, time_point now) {
  const auto complain = [this, &state, now](const std::string& what) {
    note("M1", text("epoch ", state.epoch, ": ", what), now);
  };
  if (state.members.size() != nodes_.size())
    return complain(text(state.members.size(), " members, expected ", nodes_.size()));
  const auto check_host = [&](uint32_t host, const std::string& who) {
    if (host >= nodes_.size() || !state.members[host].present || !state.members[host].serving)
      complain(text(who, " is at ", host_text(host), ", which is not serving"));
  };
  const auto& where = state.where;
  if (where.sequencer != dataflow::no_node) check_host(where.sequencer, "sequencer");
  for (size_t i = 0; i < where.stages.size(); ++i)
    check_host(where.stages[i], text("attention_stage/", i));
  for (size_t i = 0; i < where.shards.size(); ++i) {
    for (const uint32_t host : where.shards[i]) check_host(host, text("expert_shard/", i));
    const std::set<uint32_t> hosts(where.shards[i].begin(), where.shards[i].end());
    if (hosts.size() < where.shards[i].size())
      complain(text("two copies of expert_shard/", i, " are at one node"));
  }
  const auto entry =
      epochs_
          .emplace(state.epoch,
                   epoch_history{state, node, now, std::vector<uint64_t>(nodes_.size()), false})
          .first;
  if (entry != epochs_.begin()) check_next(std::prev(entry)->second.state, state, now);
  if (std::next(entry) != epochs_.end())
    check_next(state, std::next(entry)->second.state, now);
  else
    note_new_epoch(state, now);
}

void membership_checker::check_next(const cluster_state& before, const cluster_state& after,
                                    time_point now) {
  if (after.kv_version < before.kv_version)
    note("M1",
         text("kv_version goes back from ", before.kv_version, " in epoch ", before.epoch, " to ",
              after.kv_version, " in epoch ", after.epoch),
         now);
  for (uint32_t i = 0; i < nodes_.size() && i < before.members.size(); ++i)
    if (after.members[i].incarnation < before.members[i].incarnation)
      note(
          "M1",
          text(name(i), " goes back from incarnation ", before.members[i].incarnation, " in epoch ",
               before.epoch, " to ", after.members[i].incarnation, " in epoch ", after.epoch),
          now);
}

void membership_checker::note_new_epoch(const cluster_state& state, time_point now) {
  if (healed_ && !limits_.fault_free && ++epochs_since_heal_ == limits_.epochs_after_heal_max + 1)
    note("M4",
         text(epochs_since_heal_, " epochs since everything was healed, bound ",
              limits_.epochs_after_heal_max),
         now);
  const auto newest = std::prev(epochs_.end());
  if (newest == epochs_.begin()) return;
  const auto& before = std::prev(newest)->second.state;
  for (uint32_t i = 0; i < nodes_.size() && i < before.members.size(); ++i)
    if (before.members[i].present && !state.members[i].present &&
        before.members[i].incarnation == nodes_[i].incarnation && nodes_[i].up)
      note_exclusion(i, state.epoch, now);
}

// A process that never stopped is put out.
void membership_checker::note_exclusion(uint32_t node, uint64_t epoch, time_point now) {
  if (limits_.fault_free)
    note("M2", text("epoch ", epoch, " excludes ", name(node), " although nothing is wrong"), now);
  if (too_many(nodes_[node].exclusions, now, limits_.exclusions_window, limits_.exclusions_max))
    note("M4",
         text(name(node), " was excluded ", nodes_[node].exclusions.size(), " times within ",
              limits_.exclusions_window.count() / 1'000'000'000, " s, bound ",
              limits_.exclusions_max),
         now);
}

void membership_checker::ready(uint32_t node, uint64_t incarnation, uint64_t epoch,
                               time_point now) {
  if (!acts(node, incarnation, text("is ready for epoch ", epoch), now)) return;
  auto& state = nodes_[node];
  const auto known = epochs_.find(epoch);
  if (known == epochs_.end() || epoch > state.epoch)
    return note("M1",
                text(name(node), " is ready for epoch ", epoch, ", it knows epoch ", state.epoch),
                now);
  if (epoch < state.epoch_ready)
    note("M1", text(name(node), " is ready for epoch ", epoch, " after epoch ", state.epoch_ready),
         now);
  state.epoch_ready = std::max(state.epoch_ready, epoch);
  known->second.ready[node] = incarnation;
}

void membership_checker::go(uint32_t node, uint64_t incarnation, uint64_t epoch, time_point now) {
  if (!acts(node, incarnation, text("starts epoch ", epoch), now)) return;
  const auto known = epochs_.find(epoch);
  if (known == epochs_.end())
    return note("M1", text(name(node), " starts epoch ", epoch, ", which nobody learned"), now);
  known->second.go = true;
  const auto& members = known->second.state.members;
  for (uint32_t i = 0; i < members.size(); ++i)
    if (members[i].present && known->second.ready[i] != members[i].incarnation)
      note("M1",
           text(name(node), " starts epoch ", epoch, " before ", name(i), " incarnation ",
                members[i].incarnation, " is ready"),
           now);
}

void membership_checker::work_done(uint32_t node, uint64_t incarnation, uint64_t epoch,
                                   const role& who, uint64_t step, time_point now) {
  const auto what = [&] {
    return text("works as ", dataflow::to_string(who), " on step ", step, " of epoch ", epoch);
  };
  const auto& state = nodes_.at(node);
  if (!state.up || state.incarnation != incarnation) {
    acts(node, incarnation, what(), now);
    return;
  }
  const auto known = epochs_.find(epoch);
  if (known == epochs_.end())
    return note("M1", text(name(node), ' ', what(), ", which nobody learned"), now);
  const auto& agreed = known->second.state;
  if (!hosts(agreed, node, who))
    return note("M1", text(name(node), ' ', what(), " and is no host of it there"), now);
  if (agreed.members[node].incarnation != incarnation)
    note("M1",
         text(name(node), " incarnation ", incarnation, ' ', what(), ", which names incarnation ",
              agreed.members[node].incarnation),
         now);
  if (epoch < state.epoch_ready)
    note("M1", text(name(node), ' ', what(), " after it was ready for epoch ", state.epoch_ready),
         now);
  if (!known->second.go)
    note("M1", text(name(node), ' ', what(), " before everybody was ready"), now);
}

void membership_checker::part_restarted(uint32_t node, const role& who, time_point now) {
  auto& times = restarts_[{node, who}];
  if (too_many(times, now, limits_.restarts.window, limits_.restarts.restarts_max))
    note("M5",
         text(name(node), ' ', dataflow::to_string(who), " was restarted ", times.size(),
              " times within ", limits_.restarts.window.count() / 1'000'000'000, " s, bound ",
              limits_.restarts.restarts_max, ", and nobody escalated"),
         now);
}

void membership_checker::part_escalated(uint32_t node, const role& who, time_point) {
  restarts_.erase({node, who});
}

// -- judgements

void membership_checker::check(time_point now) {
  for (uint32_t i = 0; i < nodes_.size(); ++i) check_crash(i, now);
  check_convergence(now);
}

void membership_checker::check_crash(uint32_t node, time_point now) {
  auto& state = nodes_[node];
  if (!state.crash_open || state.up || !majority_ || epochs_.empty()) return;
  if (now - std::max(state.crashed, disturbed_) <= limits_.detection_max) return;
  state.crash_open = false;
  const auto& newest = epochs_.rbegin()->second.state;
  if (!newest.members[node].present) return;
  note("M2",
       text(name(node), " crashed ", (now - state.crashed).count() / 1'000'000,
            " ms ago and is still in epoch ", newest.epoch, ", bound ",
            limits_.detection_max.count() / 1'000'000, " ms after the last disturbance"),
       now);
}

void membership_checker::check_convergence(time_point now) {
  if (!healed_ || !majority_ || epochs_.empty()) return;
  const auto& [epoch, newest] = *epochs_.rbegin();
  if (now - std::max(newest.learned, disturbed_) <= limits_.converge_max) return;
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    auto& state = nodes_[i];
    if (!core_[i] || !state.up || state.paused || state.epoch >= epoch || state.late_for >= epoch)
      continue;
    state.late_for = epoch;
    note("M3",
         text(name(i), " knows epoch ", state.epoch, ", expected ", epoch, ", which ",
              name(newest.learned_by), " learned ", (now - newest.learned).count() / 1'000'000,
              " ms ago; bound ", limits_.converge_max.count() / 1'000'000, " ms"),
         now);
  }
}

void membership_checker::check_stuck(const std::vector<stuck_work>& open, time_point now) {
  constexpr size_t told_max = 5;
  for (size_t i = 0; i < std::min(open.size(), told_max); ++i) {
    std::string what = open[i].what;
    if (open[i].node < nodes_.size()) what += text("; stuck at ", name(open[i].node));
    if (open[i].epoch != 0) what += text(", epoch ", open[i].epoch);
    if (open[i].step != 0) what += text(", step ", open[i].step);
    what += text("; newest epoch ", newest_epoch());
    if (open.size() > told_max && i + 1 == told_max)
      what += text("; and ", open.size() - told_max, " more");
    note("M6", std::move(what), now);
  }
}

void membership_checker::check_leaks(const leak_sample& base, const leak_sample& after,
                                     uint64_t slack, time_point now) {
  const struct {
    const char* what;
    uint64_t base, after;
  } rows[] = {
      {"actors", base.actors, after.actors},
      {"events in the heap", base.heap_events, after.heap_events},
      {"frames", base.frames, after.frames},
      {"pages used", base.pages_used, after.pages_used},
  };
  for (const auto& row : rows)
    if (row.after > row.base + slack)
      note("M7",
           text(row.after, ' ', row.what, " after the crashes, ", row.base, " before, allowed ",
                slack, " more"),
           now);
}

uint64_t membership_checker::newest_epoch() const {
  return epochs_.empty() ? 0 : epochs_.rbegin()->first;
}

const cluster_state* membership_checker::state_of(uint64_t epoch) const {
  const auto known = epochs_.find(epoch);
  return known == epochs_.end() ? nullptr : &known->second.state;
}

std::string membership_checker::name(uint32_t node) const {
  return node < layout_.nodes.size() ? layout_.nodes[node] : text("node ", node);
}

void membership_checker::note(const char* invariant, std::string what, time_point when) {
  violations_.push_back({invariant, std::move(what), when});
}

} // namespace troupe::simulations
