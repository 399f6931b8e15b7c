// When each machine's next timer is due, and which one is first, without looking at all of them.
#pragma once

#include "base/clock.hpp"

#include <bit>
#include <cstdint>
#include <vector>

namespace troupe::simulations {

// A tournament over the machines: the winner of each pair is written above it. Of equal times the
// lower machine is first.
class machine_timers {
public:
  explicit machine_timers(uint32_t machines)
      : leaves_(std::bit_ceil(machines)), due_(leaves_, time_point::max()), winner_(2 * leaves_) {
    for (uint32_t i = 0; i < leaves_; ++i) winner_[leaves_ + i] = i;
    for (uint32_t i = leaves_ - 1; i > 0; --i) decide(i);
  }

  void set(uint32_t machine, time_point due) {
    if (due_[machine] == due) return;
    due_[machine] = due;
    for (uint32_t i = (leaves_ + machine) / 2; i > 0; i /= 2) decide(i);
  }

  uint32_t first() const { return winner_[1]; }
  time_point earliest() const { return due_[first()]; }

private:
  void decide(uint32_t i) {
    const uint32_t left = winner_[2 * i], right = winner_[2 * i + 1];
    winner_[i] = due_[right] < due_[left] ? right : left;
  }

  uint32_t leaves_;
  std::vector<time_point> due_;
  std::vector<uint32_t> winner_; // [1] is the root, [leaves_ + i] machine i
};

} // namespace troupe::simulations
