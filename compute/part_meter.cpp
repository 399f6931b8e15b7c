// Keeping the books of a job without a lock, and adding them up when it ends.
#include "compute/part_meter.hpp"

#include <utility>

namespace troupe::compute {

std::string_view to_string(part which) {
  switch (which) {
    case part::other:
      return "other";
    case part::embedding:
      return "embedding";
    case part::attention:
      return "attention";
    case part::router:
      return "router";
    case part::experts:
      return "experts";
    case part::head:
      return "head";
    case part::sampling:
      return "sampling";
  }
  return "?";
}

duration meter_reading::total() const {
  duration sum = waiting + between;
  for (const duration each : computing) sum += each;
  return sum;
}

meter_reading& meter_reading::operator+=(const meter_reading& other) {
  for (size_t i = 0; i < part_count; ++i) computing[i] += other.computing[i];
  waiting += other.waiting;
  between += other.between;
  jobs += other.jobs;
  weight_bytes += other.weight_bytes;
  operations += other.operations;
  return *this;
}

part_meter::part_meter(const clock& time) : time_(time), idle_since_(time.now()) {}

void part_meter::restart() {
  const std::lock_guard lock(mutex_);
  done_ = {};
  idle_since_ = time_.now();
}

meter_reading part_meter::read() const {
  const std::lock_guard lock(mutex_);
  meter_reading out = done_;
  out.between += time_.now() - idle_since_;
  return out;
}

void part_meter::begin_job() {
  job_ = {};
  now_in_ = part::other;
  since_ = time_.now();
  in_job_ = true;
  const std::lock_guard lock(mutex_);
  done_.between += since_ - idle_since_;
  idle_since_ = since_;
}

void part_meter::end_job() {
  charge(time_.now());
  in_job_ = false;
  const std::lock_guard lock(mutex_);
  job_.jobs = 1;
  done_ += job_;
  idle_since_ = since_;
}

void part_meter::enter(part next) {
  charge(time_.now());
  now_in_ = next;
}

void part_meter::begin_wait() {
  if (!in_job_) return;
  waits_since_ = time_.now();
  charge(waits_since_);
}

void part_meter::end_wait() {
  if (!in_job_) return;
  const time_point now = time_.now();
  job_.waiting += now - waits_since_;
  since_ = now;
}

void part_meter::add_product(uint64_t weight_bytes, uint64_t operations) {
  job_.weight_bytes += weight_bytes;
  job_.operations += operations;
}

void part_meter::charge(time_point now) {
  job_.computing[static_cast<size_t>(now_in_)] += now - since_;
  since_ = now;
}

} // namespace troupe::compute
