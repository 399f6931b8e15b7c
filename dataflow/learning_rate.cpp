// Plain f64 operations only: a library's cosine may differ from machine to machine.
#include "dataflow/learning_rate.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::dataflow {
namespace {

// sin(pi t / 2) for t in [0, 1] by its Taylor series.
double quarter_sine(double t) {
  const double x = t * 1.57079632679489661923;
  const double square = x * x;
  double series = 0;
  for (int32_t n = 21; n >= 3; n -= 2) series = (1 - series) * square / ((n - 1) * n);
  return x * (1 - series);
}

// (1 + cos(pi t)) / 2.
double half_cosine(double t) {
  const double sine = quarter_sine(1 - t);
  return sine * sine;
}

// From 1 to 0 while t goes from 0 to 1.
double remaining(decay_shape shape, double t) {
  switch (shape) {
    case decay_shape::constant:
      return 1;
    case decay_shape::cosine:
      return half_cosine(t);
    case decay_shape::linear:
      return 1 - t;
    case decay_shape::one_minus_sqrt:
      return 1 - std::sqrt(t);
  }
  return 1;
}

} // namespace

double learning_rate_at(const learning_rate_schedule& schedule, uint64_t step) {
  if (step < schedule.warmup_steps) {
    return schedule.peak * static_cast<double>(step + 1) /
           static_cast<double>(schedule.warmup_steps);
  }
  if (schedule.total_steps == 0 || schedule.shape == decay_shape::constant) return schedule.peak;
  if (step >= schedule.total_steps) return schedule.floor;
  const uint64_t after_warmup = schedule.total_steps - schedule.warmup_steps;
  const uint64_t length =
      schedule.decay_steps == 0 ? after_warmup : std::min(schedule.decay_steps, after_warmup);
  const uint64_t begin = schedule.total_steps - length;
  if (step < begin) return schedule.peak;
  const double t = static_cast<double>(step - begin) / static_cast<double>(length);
  return schedule.floor + (schedule.peak - schedule.floor) * remaining(schedule.shape, t);
}

double clipping_factor(double norm, double max_norm) {
  if (max_norm <= 0) return 1;
  return std::min(1.0, max_norm / (norm + 1e-6));
}

} // namespace troupe::dataflow
