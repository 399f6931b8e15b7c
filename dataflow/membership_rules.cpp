// From reports to the next state of the cluster.
#include "dataflow/membership_rules.hpp"

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"
#include "dataflow/load_balance.hpp"
#include "dataflow/placement.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace troupe::dataflow {
namespace {

phi_options detector_options(const cluster_timing& timing) {
  return {.threshold = timing.suspect_phi,
          .samples_max = 64,
          .expected = timing.report_every,
          .deviation_min = timing.report_every / 4,
          .pause_allowed = timing.pause_allowed,
          .silence_max = timing.silence_max};
}

bool hear_each_other(const node_report& a, const node_report& b) {
  return a.hears[b.node] == b.incarnation && b.hears[a.node] == a.incarnation;
}

// Pairs of nodes in the view of which one does not hear the other, per node.
std::vector<uint32_t> broken_pairs(const leader_view& view) {
  const auto& reports = view.reports;
  std::vector<uint32_t> broken(reports.size(), 0);
  for (size_t a = 0; a < reports.size(); ++a) {
    if (!reports[a]) continue;
    for (size_t b = a + 1; b < reports.size(); ++b) {
      if (!reports[b] || hear_each_other(*reports[a], *reports[b])) continue;
      ++broken[a];
      ++broken[b];
    }
  }
  return broken;
}

const schemas::member& member_of(const cluster_state& state, node_index node) {
  static const schemas::member stranger;
  return node < state.members.size() ? state.members[node] : stranger;
}

bool is_present(const cluster_state& state, const node_report& report) {
  const auto& member = member_of(state, report.node);
  return member.present && member.incarnation == report.incarnation;
}

// One decision of next_state, in the order of its steps.
class decision {
public:
  decision(const leader_view& view, const cluster_layout& layout, const cluster_state& current)
      : view_(view), layout_(layout), current_(current) {}

  std::optional<state_change> make(const readmission& doors, time_point now, bool load_may_decide) {
    if (!voters_suffice() || !view_is_current()) return {};
    mask_refused(doors, now);
    mask_unknown();
    if (somebody_makes_itself_known()) return {};
    chosen_ = choose_members(view_, layout_, current_);
    if (std::find(chosen_.begin(), chosen_.end(), true) == chosen_.end()) return {};
    if (too_early()) return {};
    fill_members();
    figures_ = figures_of(view_.reports);
    const bool by_load = why_.empty();
    if (!by_load)
      place_roles();
    else if (!load_may_decide || !place_by_load())
      return {};
    number();
    return state_change{std::move(next_), std::move(why_), by_load, std::move(no_room_)};
  }

private:
  bool is_fresh(node_index node) const { return node < view_.fresh.size() && view_.fresh[node]; }
  const std::string& name(node_index node) const { return layout_.nodes[node]; }

  void because(const std::string& reason) { why_ += (why_.empty() ? "" : ", ") + reason; }

  bool voters_suffice() const {
    uint32_t there = 0;
    for (node_index n = 0; n < layout_.voters; ++n) there += view_.reports[n].has_value();
    return there >= layout_.majority();
  }

  // Whether no report knows of something later than the state, nor the state of something later
  // than a report; else the next report or the next state will say more.
  bool view_is_current() {
    for (auto& report : view_.reports) {
      if (!report) continue;
      const auto& member = member_of(current_, report->node);
      if (report->epoch > current_.epoch) return false;
      const bool older = report->incarnation < member.incarnation;
      const bool behind =
          report->incarnation == member.incarnation &&
          (report->generation < member.generation || report->stages_lost < member.stages_lost);
      if (!older && !behind) continue;
      if (member.present) return false;
      report.reset(); // a ghost, or a report from before it was excluded
    }
    return true;
  }

  // Who was excluded not long ago stays out, and so does who restarts again and again; unless
  // nobody else can serve, for then a node that may fail again is better than none.
  void mask_refused(const readmission& doors, time_point now) {
    const auto refused = [&](const std::optional<node_report>& report) {
      return report && !is_present(current_, *report) && !doors.allowed(report->node, now);
    };
    const auto serves = [&](const std::optional<node_report>& report) {
      return report && report->serving && !report->draining && !refused(report);
    };
    if (std::none_of(view_.reports.begin(), view_.reports.end(), serves)) return;
    for (auto& report : view_.reports)
      if (refused(report)) report.reset();
  }

  // A newcomer that not everybody has heard yet waits outside rather than pushing others out.
  void mask_unknown() {
    const auto broken = broken_pairs(view_);
    for (auto& report : view_.reports)
      if (report && report->node != view_.self && is_fresh(report->node) &&
          broken[report->node] > 0 && !member_of(current_, report->node).present)
        report.reset();
  }

  bool somebody_makes_itself_known() const {
    const auto broken = broken_pairs(view_);
    for (node_index n = 0; n < broken.size(); ++n)
      if (n != view_.self && is_fresh(n) && broken[n] > 0) return true;
    return false;
  }

  bool too_early() const {
    if (current_.epoch == 0) {
      const bool all = std::find(chosen_.begin(), chosen_.end(), false) == chosen_.end();
      return !all && !view_.formation_over;
    }
    if (view_.settled) return false;
    for (node_index n = 0; n < chosen_.size(); ++n)
      if (!chosen_[n] && member_of(current_, n).present) return true;
    return false;
  }

  void fill_members() {
    next_.members.resize(layout_.nodes.size());
    const auto workers = choose_workers();
    for (node_index n = 0; n < next_.members.size(); ++n) {
      const schemas::member& before = member_of(current_, n);
      next_.members[n] =
          chosen_[n] ? member_by(*view_.reports[n], workers[n]) : member_gone(before);
      explain(n, before, next_.members[n]);
    }
  }

  // Who may play roles: those that do not drain. Where all of them do, somebody has to work for the
  // streams that are left: those that have roles and streams, else those that have streams.
  std::vector<bool> choose_workers() const {
    const auto of = [this](auto suits) {
      std::vector<bool> out(chosen_.size(), false);
      for (node_index n = 0; n < out.size(); ++n)
        out[n] = chosen_[n] && view_.reports[n]->serving && suits(n, *view_.reports[n]);
      return out;
    };
    const auto some = [](const std::vector<bool>& of) {
      return std::find(of.begin(), of.end(), true) != of.end();
    };
    auto staying = of([](node_index, const node_report& r) { return !r.draining; });
    if (some(staying)) return staying;
    auto playing = of([this](node_index n, const node_report& r) {
      return r.has_streams && !roles_of(current_.where, n).empty();
    });
    if (some(playing)) return playing;
    return of([](node_index, const node_report& r) { return r.has_streams; });
  }

  static schemas::member member_by(const node_report& report, bool works) {
    return {.incarnation = report.incarnation,
            .generation = report.generation,
            .stages_lost = report.stages_lost,
            .present = true,
            .serving = works};
  }
  static schemas::member member_gone(schemas::member before) {
    before.present = false;
    before.serving = false;
    return before;
  }

  // Every reason for a new state, and only a reason, gets its words here.
  void explain(node_index n, const schemas::member& before, const schemas::member& after) {
    if (before.present != after.present)
      because(text(name(n), after.present ? " joins" : " is out"));
    else if (after.present && before.incarnation != after.incarnation)
      because(text(name(n), " has restarted"));
    else if (before.generation != after.generation || before.stages_lost != after.stages_lost)
      because(text(name(n), " has restarted parts"));
    else if (before.serving != after.serving)
      because(text(name(n), after.serving ? " serves again" : " stops serving"));
    else if (after.present && current_.epoch > 0 && view_.reports[n]->epoch_stuck == current_.epoch)
      because(text(name(n), " is stuck in epoch ", current_.epoch));
  }

  std::vector<bool> serving() const {
    std::vector<bool> out;
    for (const auto& member : next_.members) out.push_back(member.serving);
    return out;
  }

  void place_roles() {
    next_.where = plan_placement(layout_, current_.where, serving(), figures_);
    if (next_.where == placement{}) no_room_ = why_no_room(layout_, serving(), figures_);
  }

  bool place_by_load() {
    for (const auto& report : view_.reports)
      if (report && is_present(current_, *report) && report->epoch_ready != current_.epoch)
        return false;
    auto where = balance_load(layout_, current_.where, serving(), figures_);
    if (!where) return false;
    next_.where = std::move(*where);
    because("the busiest node gets less to do");
    return true;
  }

  void number() {
    next_.epoch = current_.epoch + 1;
    if (TROUPE_MUTANT(epoch_not_raised) && same_but_generation()) next_.epoch = current_.epoch;
    next_.kv_version = current_.kv_version;
    if (pages_are_lost() && !TROUPE_MUTANT(kv_version_not_raised)) ++next_.kv_version;
  }

  bool same_but_generation() const {
    for (node_index n = 0; n < next_.members.size(); ++n) {
      const auto& before = member_of(current_, n);
      const auto& after = next_.members[n];
      if (before.present != after.present || before.incarnation != after.incarnation ||
          before.serving != after.serving)
        return false;
    }
    return true;
  }

  // Whether some stage begins with a host, or a life of its host, that has no pages of it.
  bool pages_are_lost() const {
    const auto& before = current_.where.stages;
    const auto& after = next_.where.stages;
    if (before != after) return true;
    for (const node_index host : after)
      if (member_of(current_, host).incarnation != next_.members[host].incarnation) return true;
    for (node_index n = 0; n < next_.members.size(); ++n)
      if (member_of(current_, n).incarnation == next_.members[n].incarnation &&
          next_.members[n].stages_lost > member_of(current_, n).stages_lost)
        return true;
    return false;
  }

  leader_view view_; // less whom this decision leaves aside
  const cluster_layout& layout_;
  const cluster_state& current_;
  std::vector<bool> chosen_;
  plan_figures figures_;
  cluster_state next_;
  std::string why_;
  std::string no_room_;
};

} // namespace

duration first_allowance(const cluster_timing& timing) {
  phi_detector detector(detector_options(timing));
  detector.heard(time_point{});
  return detector.suspect_at() - time_point{};
}

membership_table::membership_table(const cluster_layout& layout, const cluster_timing& timing,
                                   node_index self, uint64_t incarnation, time_point started)
    : layout_(layout),
      timing_(timing),
      allowance_(first_allowance(timing)),
      self_(self),
      incarnation_(incarnation),
      peers_(layout.nodes.size(), peer{{}, phi_detector(detector_options(timing)), 0, {}}) {
  TROUPE_CHECK(self < peers_.size());
  peers_[self].newest = incarnation;
  if (has_majority(started)) majority_since_ = started;
}

membership_table::verdict membership_table::on_report(const node_report& report, time_point now) {
  if (report.node >= peers_.size() || report.hears.size() != peers_.size()) return verdict::stale;
  note_incarnations(report);
  peer& p = peers_[report.node];
  if (report.node == self_) return verdict::stale; // an echo, or another life of ours
  if (report.incarnation < p.newest) return verdict::stale;
  const bool restarted = !p.report || p.report->incarnation != report.incarnation;
  if (!restarted && report.number <= p.report->number) return verdict::stale;

  if (!has_majority(now)) majority_since_.reset(); // it may have lapsed in silence
  if (restarted) {
    p.detector.reset();
    if (!p.report || now - p.since >= allowance_) p.since = now;
  }
  p.detector.heard(now);
  p.report = report;
  if (!has_majority(now))
    majority_since_.reset();
  else if (!majority_since_)
    majority_since_ = now;
  return restarted ? verdict::restarted : verdict::taken;
}

std::optional<time_point> membership_table::on_cut_off(node_index node, uint64_t incarnation,
                                                       time_point now) {
  if (node >= peers_.size() || node == self_ || !heard_lately(node, now)) return {};
  peer& p = peers_[node];
  if (p.report->incarnation != incarnation) return {};
  p.detector.cut_off(now + timing_.reconnect_allowed);
  return p.detector.suspect_at();
}

std::vector<uint64_t> membership_table::hears(time_point now) const {
  std::vector<uint64_t> heard(peers_.size(), 0);
  for (node_index n = 0; n < peers_.size(); ++n)
    if (heard_lately(n, now)) heard[n] = n == self_ ? incarnation_ : peers_[n].report->incarnation;
  return heard;
}

bool membership_table::connected(node_index peer, time_point now) const {
  if (peer == self_) return true;
  return peer < peers_.size() && heard_lately(peer, now) &&
         peers_[peer].report->hears[self_] == incarnation_;
}

bool membership_table::has_majority(time_point now) const {
  uint32_t there = 0;
  for (node_index n = 0; n < layout_.voters; ++n) there += connected(n, now);
  return there >= layout_.majority();
}

std::optional<time_point> membership_table::majority_since(time_point now) const {
  if (!has_majority(now)) return {};
  return majority_since_;
}

const node_report* membership_table::report(node_index node) const {
  const auto& report = peers_.at(node).report;
  return report ? &*report : nullptr;
}

std::optional<time_point> membership_table::next_suspicion(time_point now) const {
  std::optional<time_point> next;
  for (node_index n = 0; n < peers_.size(); ++n) {
    if (n == self_ || !heard_lately(n, now)) continue;
    const time_point at = peers_[n].detector.suspect_at();
    next = next ? std::min(*next, at) : at;
  }
  return next;
}

bool membership_table::should_lead(time_point now) const {
  if (newest_incarnation(self_) > incarnation_) return false;
  if (layout_.voters == 0) return true;
  if (!layout_.is_voter(self_) || !has_majority(now)) return false;
  for (node_index n = 0; n < layout_.voters; ++n) {
    if (n == self_ || !connected(n, now)) continue;
    const node_report& other = *peers_[n].report;
    if (other.majority && goes_before(other)) return false;
  }
  return true;
}

bool membership_table::goes_before(const node_report& other) const {
  // It knows better who is present and does not lead: waiting for it could be waiting for ever.
  if (other.epoch > agreed_.epoch && !other.leads) return false;
  const auto& member = member_of(agreed_, self_);
  const bool present = member.present && member.incarnation == incarnation_;
  return std::pair(!is_present(agreed_, other), other.node) < std::pair(!present, self_);
}

void membership_table::agreed(const cluster_state& state) {
  if (state.epoch > agreed_.epoch) agreed_ = state;
}

uint32_t membership_table::phi_milli(node_index peer, time_point now) const {
  return peers_.at(peer).detector.phi_milli(now);
}

// Heard, not suspected, and not known to have restarted since.
bool membership_table::heard_lately(node_index node, time_point now) const {
  if (node == self_) return true;
  const peer& p = peers_[node];
  return p.detector.watching() && !p.detector.suspect(now) && p.report->incarnation >= p.newest;
}

void membership_table::note_incarnations(const node_report& report) {
  for (node_index n = 0; n < peers_.size(); ++n)
    peers_[n].newest = std::max(peers_[n].newest, report.hears[n]);
  peers_[report.node].newest = std::max(peers_[report.node].newest, report.incarnation);
}

difference difference_between(const node_report& one, const node_report& other) {
  const auto differ = [](uint64_t a, uint64_t b) { return a != 0 && b != 0 && a != b; };
  if (differ(one.model, other.model)) return difference::model;
  if (differ(one.layout, other.layout)) return difference::layout;
  return difference::none;
}

bool must_yield(const node_report& own, const node_report& other) {
  return other.epoch_ready > 0 && own.epoch_ready == 0;
}

leader_view view_of(const membership_table& table, const node_report& own, time_point now) {
  const size_t count = table.peers_.size();
  leader_view view{.self = table.self_,
                   .reports = std::vector<std::optional<node_report>>(count),
                   .fresh = std::vector<bool>(count, false)};
  for (node_index n = 0; n < count; ++n) {
    if (n == table.self_ || !table.connected(n, now)) continue;
    view.reports[n] = table.peers_[n].report;
    view.fresh[n] = now - table.peers_[n].since < table.allowance_;
  }
  view.reports[table.self_] = own;
  view.reports[table.self_]->hears = table.hears(now); // not of when it was last sent
  const auto since = table.majority_since(now);
  view.settled = since && now - *since >= table.allowance_;
  view.formation_over = since && now - *since >= table.timing_.formation_wait;
  return view;
}

readmission::readmission(const cluster_timing& timing, uint32_t nodes)
    : first_(timing.readmit_first), max_(timing.readmit_max), doors_(nodes) {}

void readmission::observe(const cluster_state& before, const cluster_state& after, time_point now) {
  for (node_index n = 0; n < doors_.size(); ++n) {
    const auto& was = member_of(before, n);
    const auto& is = member_of(after, n);
    if (was.present && (!is.present || is.incarnation != was.incarnation))
      excluded(n, now);
    else if (is.present)
      settled(n, now);
  }
}

void readmission::excluded(node_index node, time_point now) {
  door& d = doors_.at(node);
  d.pause = d.pause == duration::zero() ? first_ : d.pause > max_ / 2 ? max_ : d.pause * 2;
  d.opens = now + d.pause;
}

bool readmission::allowed(node_index node, time_point now) const {
  const door& d = doors_.at(node);
  return d.pause == duration::zero() || now >= d.opens;
}

void readmission::settled(node_index node, time_point now) {
  door& d = doors_.at(node);
  if (d.pause > duration::zero() && now - d.opens >= max_) d = {};
}

std::optional<time_point> readmission::next(time_point now) const {
  std::optional<time_point> next;
  for (const door& d : doors_)
    if (d.pause > duration::zero() && d.opens > now)
      next = next ? std::min(*next, d.opens) : d.opens;
  return next;
}

plan_figures figures_of(const std::vector<std::optional<node_report>>& reports) {
  plan_figures out;
  out.nodes.resize(reports.size());
  for (size_t n = 0; n < reports.size(); ++n) {
    if (!reports[n]) continue;
    out.nodes[n] = {reports[n]->speed, reports[n]->memory};
    const auto& rows = reports[n]->shard_rows;
    if (rows.size() > out.shard_rows.size()) out.shard_rows.resize(rows.size(), 0);
    for (size_t shard = 0; shard < rows.size(); ++shard)
      out.shard_rows[shard] += std::min(rows[shard], UINT64_MAX - out.shard_rows[shard]);
  }
  return out;
}

std::vector<bool> choose_members(const leader_view& view, const cluster_layout& layout,
                                 const cluster_state& current) {
  leader_view left = view;
  for (;;) {
    const auto broken = broken_pairs(left);
    node_index worst = no_node;
    const auto rank = [&](node_index n) {
      return std::tuple(broken[n], !is_present(current, *left.reports[n]),
                        roles_of(current.where, n).empty(), n);
    };
    for (node_index n = 0; n < broken.size(); ++n)
      if (n != view.self && broken[n] > 0 && (worst == no_node || rank(n) > rank(worst))) worst = n;
    if (worst == no_node) break;
    left.reports[worst].reset();
  }
  std::vector<bool> chosen;
  for (node_index n = 0; n < layout.nodes.size(); ++n)
    chosen.push_back(left.reports[n].has_value());
  return chosen;
}

std::optional<state_change> next_state(const leader_view& view, const cluster_layout& layout,
                                       const cluster_state& current, const readmission& doors,
                                       time_point now, bool load_may_decide) {
  TROUPE_CHECK(view.reports.size() == layout.nodes.size());
  return decision(view, layout, current).make(doors, now, load_may_decide);
}

} // namespace troupe::dataflow
