// Whether work that waits is getting done, from what two looks at the engine tell.
#pragma once

#include "base/clock.hpp"

#include <cstdint>
#include <mutex>

namespace troupe::server {

class progress_watch {
public:
  enum class verdict : uint8_t {
    idle,    // there is nothing to do
    moving,  // something was done since the last look
    waiting, // nothing was, but not for long
    stalled,
  };
  struct reading {
    verdict what = verdict::idle;
    duration still{}; // for how long nothing has moved
  };

  explicit progress_watch(duration patience) : patience_(patience) {}

  // `moved` is any number that changes when work gets done. Any thread.
  reading look(uint64_t open, uint64_t moved, time_point now);

private:
  const duration patience_;
  std::mutex mutex_; // of what follows
  bool working_ = false;
  uint64_t moved_ = 0;
  time_point changed_{};
};

} // namespace troupe::server
