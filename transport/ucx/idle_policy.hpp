// What a thread that polls does while nothing comes: look again, let others run, or sleep. It
// learns from how long it waited before. Looking is quickest while whoever it waits for runs on
// another processor, and holds them up when they share one; sleeping costs a wake-up, and nothing
// else.
#pragma once

#include "base/clock.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace troupe::transport {

enum class idle_act : uint8_t { look, yield, sleep };

class idle_policy {
public:
  // patience_max: the longest time without sleep. Zero: it always sleeps.
  explicit idle_policy(duration patience_max)
      : patience_max_(patience_max), patience_(patience_max) {}

  // Nothing has come for so long.
  idle_act next(duration waited) const {
    if (waited >= patience_) return idle_act::sleep;
    return looks_ ? idle_act::look : idle_act::yield;
  }

  // Something came after so long; `slept`: and not while we looked.
  void came(duration waited, bool slept) {
    // Patience lasts while traffic flows, and is gone after a few frames that came much later.
    if (slept && waited > 2 * patience_max_) {
      patience_ = std::max(patience_ / 2, patience_max_ / patience_least);
      return;
    }
    patience_ = patience_max_;
    duration& usual = usual_[looks_ ? 1 : 0];
    usual += (std::min(waited, 10 * patience_max_) - usual) / smoothing;
    // The way with the shorter waits; now and then the other, because the scheduler moves threads.
    const bool better = usual_[1] <= usual_[0];
    looks_ = ++waits_ % explore_every == 0 ? !better : better;
  }

  duration patience() const { return patience_; }

private:
  static constexpr int patience_least = 8; // of the longest, when traffic is thin
  static constexpr int smoothing = 8;      // waits that an average remembers
  static constexpr uint64_t explore_every = 32;

  duration patience_max_, patience_;
  std::array<duration, 2> usual_{}; // yielding, looking
  bool looks_ = true;
  uint64_t waits_ = 0;
};

} // namespace troupe::transport
