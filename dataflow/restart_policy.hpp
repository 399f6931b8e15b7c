// When a failed part is restarted and when its supervisor gives up: at most so many restarts within
// a window, with growing pauses.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"

#include <chrono>
#include <cstdint>
#include <deque>

namespace troupe::dataflow {

struct restart_limits {
  uint32_t restarts_max = 5; // within `window`; 0: every failure escalates
  duration window = std::chrono::seconds(60);
  duration pause_first =
      std::chrono::milliseconds(10);            // doubles with every restart in the window …
  duration pause_max = std::chrono::seconds(5); // … up to this
};

status validate(const restart_limits& limits);

struct restart_decision {
  bool escalate = false; // too many failures: the supervisor itself fails
  duration pause{0};     // before the restart
};

class restart_policy {
public:
  // Requires validate(limits).ok().
  explicit restart_policy(const restart_limits& limits);

  restart_decision on_failure(time_point now);

  uint64_t restarts() const { return restarts_; } // ever granted

private:
  restart_limits limits_;
  std::deque<time_point> recent_; // grants within the window, at most restarts_max
  uint64_t restarts_ = 0;
};

} // namespace troupe::dataflow
