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
  idle_act next(duration waited) const { return waited >= patience() ? idle_act::sleep : way_; }

  // Something came after so long; `slept`: and not while we were awake.
  void came(duration waited, bool slept) {
    // Patience lasts while traffic flows, and is gone after a few frames that came much later.
    if (slept && waited > 2 * patience_max_) {
      patience_ = std::max(patience_ / 2, patience_max_ / patience_least);
      return;
    }
    patience_ = patience_max_;
    duration& usual = usual_[static_cast<size_t>(way_)];
    usual += (std::min(waited, 10 * patience_max_) - usual) / smoothing;
    // The way with the shortest waits; now and then another, because the scheduler moves threads.
    const auto best = std::min_element(usual_.begin(), usual_.end()) - usual_.begin();
    const auto turn = ++waits_ % explore_every == 0 ? 1 + waits_ / explore_every % (ways - 1) : 0;
    way_ = static_cast<idle_act>((static_cast<size_t>(best) + turn) % ways);
  }

  // How long it stays awake.
  duration patience() const { return way_ == idle_act::sleep ? duration::zero() : patience_; }

private:
  static constexpr size_t ways = 3;
  static constexpr int patience_least = 8; // of the longest, when traffic is thin
  static constexpr int smoothing = 8;      // waits that an average remembers
  static constexpr uint64_t explore_every = 64;

  duration patience_max_, patience_;
  std::array<duration, ways> usual_{}; // waits, by what is done meanwhile
  idle_act way_ = idle_act::look;
  uint64_t waits_ = 0;
};

} // namespace troupe::transport
