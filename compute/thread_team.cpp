// Hand-over between the threads of a team: an epoch counter that helpers watch, claims that decide
// who computes a share, and a count of unfinished shares that the caller watches.
#include "compute/thread_team.hpp"

#include "base/check.hpp"

#include <sched.h>

#include <algorithm>

namespace troupe::compute {
namespace {

// Pauses take 10 to 45 ns, so the two phases last some tens of microseconds each; a hand-over
// within a step comes sooner, and a sleeping thread costs 30 us to wake.
constexpr uint32_t spins_busy = 1500;   // with pauses only
constexpr uint32_t spins_yielding = 64; // giving way to whoever else wants the core

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// One more turn of a wait; false when it is time to sleep.
bool keep_spinning(uint32_t turn) {
  if (turn < spins_busy) {
    pause();
    return true;
  }
  if (turn < spins_busy + spins_yielding) {
    sched_yield();
    return true;
  }
  return false;
}

} // namespace

uint32_t processors_allowed() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    return std::max(1u, std::thread::hardware_concurrency());
  }
  return static_cast<uint32_t>(std::max(1, CPU_COUNT(&set)));
}

thread_team::thread_team(uint32_t threads, part_meter* meter)
    : size_(threads), meter_(meter), claims_(std::make_unique<claim[]>(threads)) {
  TROUPE_CHECK(threads > 0);
  for (uint32_t share = 1; share < size_; ++share) {
    helpers_.emplace_back([this, share] { help(share); });
  }
}

thread_team::~thread_team() {
  stopping_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

// Claims a share of the run `epoch` and computes it. A claim moves from epoch - 1 to epoch, and a
// run ends only when all its claims have moved: who comes too late changes nothing.
bool thread_team::try_share(uint32_t share, uint32_t epoch) {
  uint32_t before = epoch - 1;
  if (!claims_[share].epoch.compare_exchange_strong(before, epoch)) return false;
  work_(context_, share);
  if (unfinished_.fetch_sub(1) == 1) unfinished_.notify_one();
  return true;
}

void thread_team::run_erased(function work, void* context) {
  work_ = work;
  context_ = context;
  unfinished_.store(size_);
  const uint32_t epoch = epoch_.fetch_add(1) + 1;
  // A helper counts itself among the sleepers before it looks at the epoch for the last time, and
  // both are sequentially consistent: either it sees the new epoch or we see the sleeper.
  if (sleepers_.load() > 0) epoch_.notify_all();
  for (uint32_t share = 0; share < size_; ++share) try_share(share, epoch);
  if (meter_ != nullptr) meter_->begin_wait();
  await_shares();
  if (meter_ != nullptr) meter_->end_wait();
}

void thread_team::await_shares() {
  for (uint32_t turn = 0;; ++turn) {
    const uint32_t left = unfinished_.load();
    if (left == 0) return;
    if (!keep_spinning(turn)) unfinished_.wait(left);
  }
}

uint32_t thread_team::next_epoch(uint32_t seen) {
  for (uint32_t turn = 0;; ++turn) {
    const uint32_t now = epoch_.load();
    if (now != seen) return now;
    if (keep_spinning(turn)) continue;
    sleepers_.fetch_add(1);
    epoch_.wait(seen);
    sleepers_.fetch_sub(1);
  }
}

void thread_team::help(uint32_t share) {
  uint32_t seen = 0;
  while (true) {
    seen = next_epoch(seen);
    if (stopping_.load()) return;
    try_share(share, seen);
  }
}

} // namespace troupe::compute
