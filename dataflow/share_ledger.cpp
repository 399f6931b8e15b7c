// A share is in exactly one place: waiting, with one worker, or taken.
#include "dataflow/share_ledger.hpp"

#include "base/check.hpp"

#include <algorithm>

namespace troupe::dataflow {

share_ledger::share_ledger(const share_limits& limits) : limits_(limits) {
  TROUPE_CHECK(limits.dealt_max > 0 && limits.ahead_max > 0 && limits.patience > duration(0));
}

void share_ledger::begin(uint64_t step, uint32_t shares) {
  TROUPE_CHECK(shares > 0);
  step_ = step;
  taken_.assign(shares, false);
  first_missing_ = 0;
  waiting_.clear();
  for (uint32_t share = 0; share < shares; ++share) waiting_.insert(waiting_.end(), share);
  for (auto& [worker, has] : dealt_) has.clear();
}

void share_ledger::add_worker(worker_number worker) {
  TROUPE_CHECK(dealt_.emplace(worker, std::map<uint32_t, time_point>()).second);
}

void share_ledger::remove_worker(worker_number worker) {
  const auto gone = dealt_.extract(worker);
  TROUPE_CHECK(!gone.empty());
  for (const auto& [share, deadline] : gone.mapped()) waiting_.insert(share);
  dealt_again_ += gone.mapped().size();
}

std::optional<worker_number> share_ledger::least_busy() const {
  const auto least = std::min_element(
      dealt_.begin(), dealt_.end(),
      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  if (least == dealt_.end() || least->second.size() >= limits_.dealt_max) return std::nullopt;
  return least->first;
}

std::vector<share_deal> share_ledger::deal(time_point now) {
  std::vector<share_deal> out;
  while (!waiting_.empty() && *waiting_.begin() - first_missing_ < limits_.ahead_max) {
    const auto worker = least_busy();
    if (!worker) break;
    const uint32_t share = *waiting_.begin();
    waiting_.erase(waiting_.begin());
    dealt_[*worker][share] = now + limits_.patience;
    out.push_back({*worker, share});
  }
  return out;
}

bool share_ledger::take(worker_number worker, uint64_t step, uint32_t share) {
  const auto from = dealt_.find(worker);
  if (step != step_ || from == dealt_.end() || from->second.erase(share) == 0) return false;
  taken_[share] = true;
  while (first_missing_ < taken_.size() && taken_[first_missing_]) ++first_missing_;
  return true;
}

std::vector<worker_number> share_ledger::overdue(time_point now) const {
  std::vector<worker_number> out;
  for (const auto& [worker, has] : dealt_) {
    if (std::any_of(has.begin(), has.end(), [now](const auto& one) { return one.second <= now; }))
      out.push_back(worker);
  }
  return out;
}

std::optional<time_point> share_ledger::next_deadline() const {
  std::optional<time_point> out;
  for (const auto& [worker, has] : dealt_)
    for (const auto& [share, deadline] : has) out = out ? std::min(*out, deadline) : deadline;
  return out;
}

} // namespace troupe::dataflow
