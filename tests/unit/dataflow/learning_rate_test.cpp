// Schedules at their corners and in between, and clipping.
#include "dataflow/learning_rate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace troupe::dataflow {
namespace {

TEST(learning_rate, rises_to_the_peak_with_the_last_step_of_warm_up) {
  const learning_rate_schedule schedule{.peak = 0.8, .warmup_steps = 4, .total_steps = 100};
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 0), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 2), 0.6);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 3), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 4), 0.8);
}

TEST(learning_rate, follows_the_cosine_to_the_floor) {
  const learning_rate_schedule schedule{
      .peak = 3e-3, .floor = 3e-4, .warmup_steps = 10, .total_steps = 210};
  for (uint64_t step = 10; step < 210; ++step) {
    const double t = static_cast<double>(step - 10) / 200;
    const double expected = 3e-4 + 0.5 * (3e-3 - 3e-4) * (1 + std::cos(std::numbers::pi * t));
    EXPECT_NEAR(learning_rate_at(schedule, step), expected, 1e-17) << step;
  }
  EXPECT_EQ(learning_rate_at(schedule, 210), 3e-4);
  EXPECT_EQ(learning_rate_at(schedule, 99999), 3e-4);
}

TEST(learning_rate, stays_at_the_peak_until_the_last_steps) {
  learning_rate_schedule schedule{.peak = 1,
                                  .warmup_steps = 5,
                                  .total_steps = 100,
                                  .shape = decay_shape::linear,
                                  .decay_steps = 20};
  EXPECT_EQ(learning_rate_at(schedule, 79), 1);
  EXPECT_EQ(learning_rate_at(schedule, 80), 1);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 90), 0.5);
  schedule.shape = decay_shape::one_minus_sqrt;
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 85), 0.5);
  EXPECT_EQ(learning_rate_at(schedule, 100), 0);
}

TEST(learning_rate, never_ends_without_an_end) {
  const learning_rate_schedule endless{.peak = 2, .warmup_steps = 1};
  EXPECT_EQ(learning_rate_at(endless, 1'000'000'000), 2);
  const learning_rate_schedule constant{
      .peak = 2, .total_steps = 10, .shape = decay_shape::constant};
  EXPECT_EQ(learning_rate_at(constant, 50), 2);
}

TEST(learning_rate, decay_longer_than_the_run_begins_after_warm_up) {
  const learning_rate_schedule schedule{.peak = 1,
                                        .warmup_steps = 10,
                                        .total_steps = 20,
                                        .shape = decay_shape::linear,
                                        .decay_steps = 500};
  EXPECT_EQ(learning_rate_at(schedule, 10), 1);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 15), 0.5);
}

TEST(clipping, shortens_what_is_too_long_and_nothing_else) {
  EXPECT_EQ(clipping_factor(0.5, 1), 1);
  EXPECT_NEAR(clipping_factor(4, 1), 0.25, 1e-6);
  EXPECT_EQ(clipping_factor(0, 1), 1);
  EXPECT_EQ(clipping_factor(1e9, 0), 1);
}

} // namespace
} // namespace troupe::dataflow
