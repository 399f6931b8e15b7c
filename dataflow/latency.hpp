// Histograms with fixed bounds, as Prometheus wants them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace troupe::dataflow {

// Upper bounds in seconds, ascending, those of vLLM's series of the same meaning.
std::span<const double> first_token_bounds();
std::span<const double> inter_token_bounds();
std::span<const double> request_bounds(); // whole requests and time in the queue
// Upper bounds in tokens.
std::span<const double> step_token_bounds();

class histogram_counter {
public:
  // Ascending bounds.
  explicit histogram_counter(std::span<const double> bounds);

  // Counts in the first bucket whose bound is not below the value. A NaN is ignored.
  void add(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  const std::vector<uint64_t>& buckets() const { return buckets_; } // bounds + 1, not cumulative
  double sum() const { return sum_; }
  uint64_t count() const { return count_; }
  // Estimate by linear interpolation within the bucket, as Prometheus' histogram_quantile; 0 when
  // empty, the highest bound when it lies in the unbounded bucket. 0 <= q <= 1.
  double quantile(double q) const;

private:
  std::vector<double> bounds_;
  std::vector<uint64_t> buckets_;
  double sum_ = 0;
  uint64_t count_ = 0;
};

} // namespace troupe::dataflow
