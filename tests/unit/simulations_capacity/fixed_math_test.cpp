// Our own functions against the machine's, which is accurate enough to judge them.
#include "simulations/capacity/fixed_math.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

namespace troupe::simulations::capacity {
namespace {

TEST(fixed_math, logarithm_is_accurate_everywhere) {
  for (double x = 1e-300; x < 1e300; x *= 1.37)
    EXPECT_NEAR(natural_log(x) / std::log(x), 1, 1e-13) << x;
  for (double x = 0.5; x < 2; x += 0.001) EXPECT_NEAR(natural_log(x), std::log(x), 1e-15) << x;
  EXPECT_EQ(natural_log(1), 0);
}

TEST(fixed_math, exponential_is_accurate_and_saturates) {
  for (double x = -690; x < 690; x += 0.37)
    EXPECT_NEAR(exponential(x) / std::exp(x), 1, 1e-13) << x;
  EXPECT_EQ(exponential(0), 1);
  EXPECT_TRUE(std::isfinite(exponential(1e6)));
  EXPECT_GT(exponential(-1e6), 0);
  EXPECT_NEAR(power(2, 10), 1024, 1e-9);
}

TEST(fixed_math, normal_quantile_undoes_the_distribution) {
  for (double p = 1e-9; p < 1; p += 0.000997) {
    const double z = normal_quantile(p);
    EXPECT_NEAR(0.5 * std::erfc(-z / std::sqrt(2.0)) / p, 1, 1e-5) << p;
  }
  EXPECT_NEAR(normal_quantile(0.975), 1.959964, 1e-6);
  EXPECT_EQ(normal_quantile(0.25), -normal_quantile(0.75));
}

TEST(fixed_math, draws_have_the_moments_they_promise) {
  draws draw(1, random_subsystem::workload, 1);
  double exponentials = 0, gammas = 0, gamma_squares = 0, middle = 0;
  constexpr int count = 200'000;
  for (int n = 0; n < count; ++n) {
    exponentials += draw.expovariate(3);
    const double g = draw.gamma(2, 3); // shape 1.5: variance 4 / 1.5
    gammas += g;
    gamma_squares += g * g;
    middle += draw.log_normal(5, 60) < std::sqrt(300.0) ? 1 : 0;
  }
  EXPECT_NEAR(exponentials / count, 3, 0.03);
  EXPECT_NEAR(gammas / count, 2, 0.02);
  EXPECT_NEAR(gamma_squares / count - 4, 4 / 1.5, 0.08);
  EXPECT_NEAR(middle / count, 0.5, 0.005);
}

// The bits themselves: they must not depend on machine or compiler.
TEST(fixed_math, gives_these_very_bits) {
  EXPECT_EQ(std::bit_cast<uint64_t>(natural_log(10)), 4612367379483415829u);
  draws draw(7, random_subsystem::faults, 3);
  double sum = 0;
  for (int n = 0; n < 1000; ++n) sum += draw.log_normal(1, 10) + draw.gamma(1, 1);
  EXPECT_EQ(std::bit_cast<uint64_t>(sum), 4662272064290480183u);
}

} // namespace
} // namespace troupe::simulations::capacity
