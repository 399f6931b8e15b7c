// Buckets of the histograms.
#include "dataflow/latency.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

namespace troupe::dataflow {
namespace {

constexpr std::array first_token = {0.001, 0.005, 0.01, 0.02,  0.04,  0.06,  0.08, 0.1,
                                    0.25,  0.5,   0.75, 1.0,   2.5,   5.0,   7.5,  10.0,
                                    20.0,  40.0,  80.0, 160.0, 640.0, 2560.0};
constexpr std::array inter_token = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,
                                    0.15,  0.2,    0.3,   0.4,  0.5,   0.75, 1.0,   2.5,
                                    5.0,   7.5,    10.0,  20.0, 40.0,  80.0};
constexpr std::array request = {0.01, 0.05, 0.1,   0.3,   0.5,   0.8,   1.0,    1.5,
                                2.0,  2.5,  5.0,   10.0,  15.0,  20.0,  30.0,   40.0,
                                50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};
constexpr std::array step_token = {1.0,   8.0,    16.0,   32.0,   64.0,   128.0,  256.0,
                                   512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0};

} // namespace

std::span<const double> first_token_bounds() {
  return first_token;
}
std::span<const double> inter_token_bounds() {
  return inter_token;
}
std::span<const double> request_bounds() {
  return request;
}
std::span<const double> step_token_bounds() {
  return step_token;
}

histogram_counter::histogram_counter(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), buckets_(bounds.size() + 1, 0) {
  TROUPE_CHECK(std::adjacent_find(bounds_.begin(), bounds_.end(), std::greater_equal<>()) ==
               bounds_.end());
}

void histogram_counter::add(double value) {
  if (std::isnan(value)) return;
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++buckets_[static_cast<size_t>(bucket - bounds_.begin())];
  sum_ += value;
  ++count_;
}

double histogram_counter::quantile(double q) const {
  TROUPE_CHECK(q >= 0 && q <= 1);
  if (count_ == 0 || bounds_.empty()) return 0;
  const double rank = q * static_cast<double>(count_);
  double below = 0;
  for (size_t n = 0; n < bounds_.size(); ++n) {
    const auto here = static_cast<double>(buckets_[n]);
    if (here > 0 && below + here >= rank) {
      const double low = n == 0 ? std::min(0.0, bounds_[0]) : bounds_[n - 1];
      return low + (bounds_[n] - low) * ((rank - below) / here);
    }
    below += here;
  }
  return bounds_.back();
}

} // namespace troupe::dataflow
