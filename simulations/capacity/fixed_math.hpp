// Logarithm, exponential and the normal distribution from additions, multiplications, divisions and
// square roots alone. Those are exact by IEEE 754, so every machine and compiler gets the same
// bits, which libm does not promise.
#pragma once

#include "base/random.hpp"

#include <cstdint>

namespace troupe::simulations::capacity {

inline constexpr double ln_2 = 0.6931471805599453;

double natural_log(double x);     // x > 0 and normal; relative error below 1e-14 (absolute near 1)
double exponential(double x);     // saturates beyond +-700; relative error below 1e-14
double power(double x, double y); // x > 0
double normal_quantile(double p); // 0 < p < 1; relative error below 1e-6

// One entity's draws in order. The n-th does not depend on what other entities draw.
class draws {
public:
  draws(uint64_t seed, random_subsystem subsystem, uint32_t entity)
      : key_{seed, subsystem, entity} {}

  uint64_t bits() { return random_bits(key_, n_++); }
  uint64_t below(uint64_t bound) { return random_below(key_, n_++, bound); }
  double unit();      // in [0, 1)
  double open_unit(); // in (0, 1)
  double expovariate(double mean) { return -mean * natural_log(open_unit()); }
  double normal() { return normal_quantile(open_unit()); }
  // Mean `mean`, shape halves / 2.
  double gamma(double mean, uint32_t halves);
  // `low` and `high` are the 5 % and 95 % quantiles.
  double log_normal(double low, double high);
  bool chance(double probability) { return unit() < probability; }

private:
  random_key key_;
  uint64_t n_ = 0;
};

} // namespace troupe::simulations::capacity
