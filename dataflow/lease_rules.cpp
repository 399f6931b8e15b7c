// From who is heard, and what the store says, to who reaches for the lease.
#include "dataflow/lease_rules.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <algorithm>

namespace troupe::dataflow {
namespace {

bool takes_part(const cluster_state& state, const node_report& report) {
  return report.node < state.members.size() && state.members[report.node].present &&
         state.members[report.node].incarnation == report.incarnation;
}

bool hears_half(const leader_view& view, const cluster_state& known) {
  uint32_t present = 0;
  uint32_t heard = 0;
  for (node_index n = 0; n < known.members.size() && n < view.reports.size(); ++n) {
    if (!known.members[n].present) continue;
    ++present;
    heard += view.reports[n].has_value();
  }
  return 2 * heard >= present;
}

// No report of anybody, the node's own among them, speaks of that life as alive …
bool nobody_hears(const leader_view& view, const lease_holder& holder) {
  return std::none_of(view.reports.begin(), view.reports.end(), [&holder](const auto& report) {
    return report && report->hears[holder.node] == holder.incarnation;
  });
}

// … or one speaks of a later one.
bool has_restarted(const leader_view& view, const lease_holder& holder) {
  return std::any_of(view.reports.begin(), view.reports.end(), [&holder](const auto& report) {
    return report && report->hears[holder.node] > holder.incarnation;
  });
}

} // namespace

status validate(const lease_timing& timing) {
  const auto refuse = [](const char* what) {
    return status(status_code::invalid_argument, text("lease timing: ", what));
  };
  if (timing.term < std::chrono::seconds(1) || timing.term % std::chrono::seconds(1) != duration(0))
    return refuse("a term must be whole seconds, at least one");
  if (timing.keep_every <= duration(0) || timing.fence_early < duration(0) ||
      timing.keep_every + timing.fence_early >= timing.term)
    return refuse("a lease must be kept before its term is over");
  if (timing.read_every <= duration(0) || timing.retry_after <= duration(0) ||
      timing.defer < duration(0) || timing.gap_max <= duration(0))
    return refuse("times must be positive");
  return {};
}

lease_outlook look_around(const leader_view& view, bool may_lead, const cluster_state& known,
                          const std::optional<lease_holder>& holder) {
  lease_outlook out{.may_lead = may_lead};
  if (view.self >= view.reports.size() || !view.reports[view.self]) return {};
  out.in_touch = hears_half(view, known);
  out.preferred =
      takes_part(known, *view.reports[view.self]) ||
      std::none_of(view.reports.begin(), view.reports.end(),
                   [&known](const auto& report) { return report && takes_part(known, *report); });
  if (!holder || holder->node >= view.reports.size()) return out;
  out.holder_gone = has_restarted(view, *holder) ||
                    (view.settled && out.in_touch && out.preferred && nobody_hears(view, *holder));
  return out;
}

lease_keeper::lease_keeper(const lease_timing& timing, duration allowance, node_index self,
                           uint64_t incarnation, time_point now)
    : timing_(timing),
      allowance_(allowance),
      self_(self),
      incarnation_(incarnation),
      looked_(now),
      steady_since_(now) {}

bool lease_keeper::is_self(const lease_holder& holder) const {
  return holder.node == self_ && holder.incarnation == incarnation_;
}

lease_keeper::step lease_keeper::next(const lease_outlook& outlook, time_point now) {
  if (now - looked_ > timing_.gap_max) steady_since_ = now;
  looked_ = now;
  if (now < not_before_) return step::wait;
  if (term_) return next_of_leader(outlook, now);
  if (!informed_) return step::read;
  if (holder_) {
    // A lease of our own that we do not know to hold: the answer was lost.
    if (is_self(*holder_) || (outlook.holder_gone && outlook.may_lead && steady(now)))
      return step::end;
  } else if (outlook.may_lead) {
    const bool first_choice = outlook.preferred && outlook.in_touch;
    if (first_choice || now - *absent_since_ >= timing_.defer) return step::campaign;
  }
  return now - read_at_ >= timing_.read_every ? step::read : step::wait;
}

lease_keeper::step lease_keeper::next_of_leader(const lease_outlook& outlook, time_point now) {
  if (!outlook.may_lead) return step::end;
  if (outlook.in_touch)
    lonely_ = false;
  else if (!lonely_ && steady(now))
    return step::end; // who hears more of the others shall lead
  if (now - kept_at_ >= timing_.keep_every) return step::keep;
  return informed_ ? step::wait : step::read;
}

void lease_keeper::seen(const std::optional<lease_holder>& holder, time_point now) {
  informed_ = true;
  read_at_ = now;
  if (!holder) {
    if (!absent_since_) absent_since_ = now;
  } else {
    absent_since_.reset();
  }
  if (term_ && holder != holder_) term_ = false;
  holder_ = holder;
}

void lease_keeper::campaigned(const std::optional<lease_holder>& holder, bool in_touch,
                              time_point asked, time_point now) {
  seen(holder, now);
  if (!holder || !is_self(*holder)) return;
  term_ = true;
  lonely_ = !in_touch;
  kept(asked);
}

void lease_keeper::kept(time_point asked) {
  kept_at_ = asked;
  fence_ = asked + timing_.term - timing_.fence_early;
}

void lease_keeper::ended(time_point now) {
  term_ = false;
  holder_.reset();
  absent_since_ = now;
  // A lease of ours may have ended long ago, and there may be another leader.
  informed_ = false;
}

void lease_keeper::failed(time_point now) {
  not_before_ = now + timing_.retry_after;
  informed_ = false;
}

void lease_keeper::unsure() {
  informed_ = false;
}

} // namespace troupe::dataflow
