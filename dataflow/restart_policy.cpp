// Counts recent restarts and doubles the pause with each.
#include "dataflow/restart_policy.hpp"

#include "base/check.hpp"

#include <algorithm>

namespace troupe::dataflow {

status validate(const restart_limits& limits) {
  if (limits.window <= duration::zero())
    return {status_code::invalid_argument, "the restart window must be longer than nothing"};
  if (limits.pause_first < duration::zero() || limits.pause_max < limits.pause_first)
    return {status_code::invalid_argument,
            "the restart pause must not be negative, nor its maximum below the first pause"};
  return {};
}

restart_policy::restart_policy(const restart_limits& limits) : limits_(limits) {
  TROUPE_CHECK(validate(limits).ok());
}

restart_decision restart_policy::on_failure(time_point now) {
  while (!recent_.empty() && now - recent_.front() >= limits_.window) recent_.pop_front();
  if (recent_.size() >= limits_.restarts_max) return {true, duration::zero()};
  duration pause = limits_.pause_first;
  for (size_t n = 0; n < recent_.size() && pause < limits_.pause_max; ++n)
    pause = pause > limits_.pause_max / 2 ? limits_.pause_max : pause * 2;
  recent_.push_back(now);
  ++restarts_;
  return {false, std::min(pause, limits_.pause_max)};
}

} // namespace troupe::dataflow
