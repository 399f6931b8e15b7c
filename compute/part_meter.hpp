// Where the time of an executor goes: by part of a step, in waiting for other threads of the team,
// and between jobs. Together they are the time that has passed, so nothing can hide.
#pragma once

#include "base/clock.hpp"
#include "compute/kernels.hpp"

#include <array>
#include <cstdint>
#include <mutex>
#include <string_view>

namespace troupe::compute {

inline constexpr size_t part_count = static_cast<size_t>(part::sampling) + 1;
std::string_view to_string(part which);

struct meter_reading {
  std::array<duration, part_count> computing{}; // by part, on the thread that runs the job
  duration waiting{};                           // of that thread, for others of the team
  duration between{};                           // from job to job: messages, or nothing to do
  uint64_t jobs = 0;
  uint64_t weight_bytes = 0; // of the matrices that products read, each once a call
  uint64_t operations = 0;   // multiplications and additions of products

  duration total() const;
  meter_reading& operator+=(const meter_reading& other);
};

// Fed by an executor and its kernels; read by anybody between jobs. A job that is under way counts
// when it is done.
class part_meter {
public:
  // The clock must outlive the meter.
  explicit part_meter(const clock& time);

  // Forgets everything up to now.
  void restart();
  meter_reading read() const;

  // For the executor's thread, inside of a job but for begin_job.
  void begin_job();
  void end_job();
  void enter(part next);
  void begin_wait();
  void end_wait();
  void add_product(uint64_t weight_bytes, uint64_t operations);

private:
  void charge(time_point now);

  const clock& time_;
  mutable std::mutex mutex_;
  meter_reading done_; // of the jobs that are done
  time_point idle_since_;

  // Of the job under way.
  meter_reading job_;
  part now_in_ = part::other;
  time_point since_;
  time_point waits_since_;
  bool in_job_ = false;
};

} // namespace troupe::compute
