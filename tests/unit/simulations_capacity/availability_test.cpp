// What failures cost at their real rate.
#include "simulations/capacity/availability.hpp"

#include "tests/unit/simulations_capacity/studies.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

availability_options few() {
  return {.samples = 2, .replicas_max = 2, .before = 5 * second_ns, .after = 30 * second_ns};
}

TEST(availability, is_one_when_nothing_fails) {
  study of = small_study();
  of.failures = *failures_named("none");
  const auto found = estimate_availability(of, 2, 1, few());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->served.value, 1);
  EXPECT_EQ(found->goodput.value, 1);
  EXPECT_EQ(found->failures_per_day, 0);
}

TEST(availability, shares_add_up_and_the_interval_holds_the_value) {
  const auto found = *estimate_availability(two_node_study(), 4, 2, few());
  double share = 0;
  for (const auto& each : found.classes) share += each.share;
  EXPECT_NEAR(share, 1, 1e-9);
  EXPECT_NEAR(found.failures_per_day, 3.8 / 1000 * 4, 1e-12);
  EXPECT_LT(found.served.value, 1);
  EXPECT_GT(found.served.value, 0.999);
  EXPECT_LE(found.served.low, found.served.value);
  EXPECT_GE(found.served.high, found.served.value);
}

TEST(availability, falls_in_proportion_to_the_rate) {
  study of = two_node_study();
  const auto once = *estimate_availability(of, 4, 1, few());
  of.failures.per_1000_node_days *= 5;
  const auto five = *estimate_availability(of, 4, 1, few());
  EXPECT_NEAR((1 - five.served.value) / (1 - once.served.value), 5, 1e-6);
}

TEST(availability, a_replica_of_several_nodes_need_not_wait_for_a_repair) {
  const auto alone = *estimate_availability(small_study(), 4, 1, few());
  const auto together = *estimate_availability(two_node_study(), 4, 1, few());
  const auto stopped = [](const availability_result& of) {
    return of.classes.front().stopped.mean();
  };
  ASSERT_EQ(alone.classes.front().kind, failure_kind::device);
  EXPECT_GT(stopped(alone), 60);
  EXPECT_LT(stopped(together), 60);
}

TEST(availability, statistics_of_samples) {
  sample_statistics of;
  for (const double value : {1.0, 2.0, 3.0}) of.add(value);
  EXPECT_NEAR(of.mean(), 2, 1e-12);
  EXPECT_NEAR(of.variance_of_mean(), 1.0 / 3, 1e-12);
}

} // namespace
} // namespace troupe::simulations::capacity
