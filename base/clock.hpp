// The clock seam: the only place from which time may be read.
#pragma once

#include <chrono>
#include <cstdint>

namespace troupe {

// Nanoseconds since an arbitrary start; differences are what counts.
using time_point = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
using duration = std::chrono::nanoseconds;

// Thread-safe. Must outlive whoever was given a reference.
class clock {
public:
  virtual ~clock() = default;
  // Never goes backwards.
  virtual time_point now() const = 0;
  // Seconds since 1970, for people and protocols only; may jump.
  virtual int64_t wall_seconds() const = 0;
};

// The machine's own clocks.
class system_clock final : public clock {
public:
  time_point now() const override;
  int64_t wall_seconds() const override;
};

} // namespace troupe
