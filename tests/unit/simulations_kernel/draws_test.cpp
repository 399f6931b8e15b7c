// Distributions in integers against what they should be.
#include "simulations/kernel/draws.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe::simulations {
namespace {

TEST(draws_test, the_logarithm_is_right_to_six_digits) {
  for (const uint64_t x : {uint64_t{1}, uint64_t{2}, uint64_t{3}, uint64_t{1000}, uint64_t{1} << 32,
                           (uint64_t{1} << 32) - 1, uint64_t{0x123456789ABCDEF}, UINT64_MAX})
    EXPECT_NEAR(static_cast<double>(log2_fixed(x)) / 4294967296.0,
                std::log2(static_cast<double>(x)), 1e-6)
        << x;
}

TEST(draws_test, the_logarithm_never_falls) {
  uint64_t before = 0;
  for (uint64_t x = 1; x < (uint64_t{1} << 40); x += 1 + x / 97) {
    EXPECT_GE(log2_fixed(x), before) << x;
    before = log2_fixed(x);
  }
}

TEST(draws_test, exponential_draws_have_the_mean_and_the_spread_they_should) {
  constexpr int count = 100'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < count; ++i) {
    const auto bits = random_block({1, random_subsystem::faults, 7}, i)[0];
    const auto drawn = static_cast<double>(exponential(bits, duration(1'000'000)).count());
    sum += drawn;
    squares += drawn * drawn;
  }
  const double mean = sum / count;
  EXPECT_NEAR(mean, 1e6, 1e4);
  EXPECT_NEAR(std::sqrt(squares / count - mean * mean), 1e6, 2e4);
}

TEST(draws_test, exponential_draws_have_ends) {
  EXPECT_EQ(exponential(UINT32_MAX, duration(1000)), duration(0));
  EXPECT_GT(exponential(0, duration(1000)), duration(22'000));
  EXPECT_LT(exponential(0, duration(1000)), duration(23'000));
  EXPECT_EQ(exponential(5, duration(0)), duration(0));
  EXPECT_EQ(exponential(5, duration(-9)), duration(0));
}

TEST(draws_test, rates_are_kept) {
  EXPECT_FALSE(strikes(0, 0));
  EXPECT_TRUE(strikes(0, 1));
  EXPECT_TRUE(strikes(UINT32_MAX, 1'000'000));
  EXPECT_FALSE(strikes(UINT32_MAX, 999'999));
}

// The numbers themselves: what a seed means must not change from one compiler to the next.
TEST(draws_test, known_values_stay) {
  EXPECT_EQ(log2_fixed(10), 14267572527u);
  EXPECT_EQ(exponential(123456789, duration(1'000'000'000)).count(), 3549308026);
}

} // namespace
} // namespace troupe::simulations
