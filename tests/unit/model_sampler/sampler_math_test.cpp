// exp and log of the sampler: against libm in long double, and pinned bits.
#include "model/sampler_math.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

namespace troupe::model {
namespace {

double ulps(double value, long double exact) {
  const double nearest = static_cast<double>(exact);
  const double ulp = std::nextafter(std::fabs(nearest), INFINITY) - std::fabs(nearest);
  return static_cast<double>(std::fabs(value - exact) / ulp);
}

TEST(sampler_math_test, exp_is_within_two_units_in_the_last_place) {
  EXPECT_EQ(sampling_exp(0), 1);
  for (uint64_t n = 0; n < 200000; ++n) {
    const double range = n % 2 == 0 ? 40 : 700;
    const double x = -range * random_unit({1, random_subsystem::workload, 0}, n);
    ASSERT_LE(ulps(sampling_exp(x), std::exp(static_cast<long double>(x))), 2) << x;
  }
}

TEST(sampler_math_test, exp_never_decreases) {
  double before = 0;
  for (double x = -40; x <= 0; x += 0x1p-12) {
    ASSERT_GE(sampling_exp(x), before) << x;
    before = sampling_exp(x);
  }
}

TEST(sampler_math_test, log_is_within_three_units_in_the_last_place) {
  EXPECT_EQ(sampling_log(1), 0);
  for (uint64_t n = 0; n < 200000; ++n) {
    const double u = random_unit({2, random_subsystem::workload, 0}, n);
    const double x = n % 3 == 0 ? 1 + u : n % 3 == 1 ? 1 + u * 1e6 : 1e-300 * (u + 0.5);
    const long double exact = std::log(static_cast<long double>(x));
    if (std::fabs(exact) < 1e-3) {
      ASSERT_NEAR(sampling_log(x), static_cast<double>(exact), 1e-17) << x;
    } else {
      ASSERT_LE(ulps(sampling_log(x), exact), 3) << x;
    }
  }
}

TEST(sampler_math_test, the_bits_are_the_same_everywhere) {
  uint64_t hash = 0;
  for (int n = 0; n < 4000; ++n) {
    hash = hash * 0x100000001b3u ^ std::bit_cast<uint64_t>(sampling_exp(-n * 0.0101));
    hash = hash * 0x100000001b3u ^ std::bit_cast<uint64_t>(sampling_log(1 + n * 37.7));
  }
  EXPECT_EQ(hash, 16890727746598187089u);
}

} // namespace
} // namespace troupe::model
