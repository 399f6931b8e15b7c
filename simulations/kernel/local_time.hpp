// A machine's monotonic clock as a function of virtual time: linear drift, a triangular wave on
// top, and jumps. Integers only; never goes backwards.
#pragma once

#include "simulations/kernel/world.hpp"

namespace troupe::simulations {

class local_time {
public:
  explicit local_time(time_point start) : virtual_origin_(start), local_origin_(start) {}

  time_point at(time_point virtual_now) const;
  // The earliest virtual time at which the clock shows `local` or more; not before virtual_now.
  time_point reaches(time_point local, time_point virtual_now) const;

  void set(const clock_fault& fault, time_point virtual_now);
  void jump(duration ahead);
  int64_t wall_offset_s() const { return fault_.wall_offset_s; }

private:
  int64_t gained(int64_t elapsed) const; // on virtual time

  clock_fault fault_;
  time_point virtual_origin_;
  time_point local_origin_;
};

} // namespace troupe::simulations
