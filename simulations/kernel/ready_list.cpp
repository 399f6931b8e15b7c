// Fifo, uniform, priorities with drops, bounded delays.
#include "simulations/kernel/ready_list.hpp"

#include "base/check.hpp"
#include "simulations/kernel/draws.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace troupe::simulations {
namespace {

// Priorities that are drawn lie above those that are given by drops.
constexpr uint64_t drawn_priority = uint64_t{1} << 63;

// Who has waited for so many picks is next, whatever its priority: actors that keep each other
// busy must not keep all others, and time, from going on.
constexpr uint64_t patience = 512;

// One woken actor in so many does not wait; of the handlers on a machine's stack there are at most
// so many.
constexpr uint64_t overlap_odds = 4;
constexpr uint32_t overlap_depth = 3;

} // namespace

ready_list::ready_list(uint64_t seed, const strategy_options& options)
    : seed_(seed), kind_(resolve(options.kind, seed)), lowest_(drawn_priority) {
  if (kind_ != strategy_kind::pct && kind_ != strategy_kind::delay) return;
  const random_key key{seed, random_subsystem::scheduling, draw_entity::change_points};
  for (uint32_t i = 0; i < options.changes; ++i)
    changes_.push_back(random_below(key, i, std::max<uint64_t>(options.horizon, 1)));
  std::sort(changes_.begin(), changes_.end(), std::greater<>());
}

void ready_list::stamp(ready_job& job) {
  job.order = ++order_;
  job.since = picks_;
}

uint64_t ready_list::priority(uint32_t machine, uint64_t incarnation, uint64_t actor) const {
  const random_key key{seed_, random_subsystem::scheduling, draw_entity::priorities + machine};
  return random_bits(key, incarnation << 32 | actor) | drawn_priority;
}

size_t ready_list::oldest() const {
  size_t found = 0;
  for (size_t i = 1; i < jobs_.size(); ++i)
    if (jobs_[i].order < jobs_[found].order) found = i;
  return found;
}

size_t ready_list::highest() const {
  const auto above = [](const ready_job& a, const ready_job& b) {
    if (a.priority != b.priority) return a.priority > b.priority;
    return a.machine != b.machine ? a.machine < b.machine : a.id < b.id;
  };
  size_t found = 0;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    if (picks_ - jobs_[i].since > patience) return oldest();
    if (above(jobs_[i], jobs_[found])) found = i;
  }
  return found;
}

bool ready_list::is_change() {
  bool found = false;
  for (; !changes_.empty() && changes_.back() <= picks_; changes_.pop_back()) found = true;
  return found;
}

size_t ready_list::choose() {
  switch (kind_) {
    case strategy_kind::random:
    case strategy_kind::overlap:
      if (jobs_.size() == 1) return 0;
      return random_below({seed_, random_subsystem::scheduling, draw_entity::picks}, picks_,
                          jobs_.size());
    case strategy_kind::pct: {
      const size_t found = highest();
      if (!is_change()) return found;
      jobs_[found].priority = --lowest_;
      return highest();
    }
    case strategy_kind::delay:
      if (is_change()) jobs_[oldest()].order = ++order_;
      return oldest();
    case strategy_kind::fifo:
    case strategy_kind::portfolio:
      return oldest();
  }
  return 0;
}

ready_job ready_list::pick() {
  TROUPE_CHECK(!jobs_.empty());
  const size_t chosen = choose();
  ++picks_;
  const ready_job out = jobs_[chosen];
  jobs_[chosen] = jobs_.back();
  jobs_.pop_back();
  return out;
}

bool ready_list::overlaps(uint32_t depth) {
  if (kind_ != strategy_kind::overlap || depth >= overlap_depth) return false;
  return random_below({seed_, random_subsystem::scheduling, draw_entity::overlaps},
                      overlaps_asked_++, overlap_odds) == 0;
}

void ready_list::take_machine(uint32_t machine, std::vector<ready_job>& out) {
  const auto mine = [machine](const ready_job& job) { return job.machine == machine; };
  const size_t before = out.size();
  std::copy_if(jobs_.begin(), jobs_.end(), std::back_inserter(out), mine);
  std::erase_if(jobs_, mine);
  std::sort(out.begin() + static_cast<ptrdiff_t>(before), out.end(),
            [](const ready_job& a, const ready_job& b) { return a.order < b.order; });
}

} // namespace troupe::simulations
