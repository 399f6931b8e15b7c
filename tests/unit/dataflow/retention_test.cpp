// Figures of small matrices, worked out by hand.
#include "dataflow/retention.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe::dataflow {
namespace {

TEST(retention, one_model_has_an_average_and_nothing_else) {
  const auto figures = measure_retention({{3, 5}}, {});
  EXPECT_DOUBLE_EQ(figures.average, 4);
  EXPECT_FALSE(figures.backward_transfer || figures.forward_transfer || figures.forgetting ||
               figures.retention || figures.regret);
}

TEST(retention, one_stage_has_nothing_to_forget) {
  const auto figures = measure_retention({{8, 8}, {2, 6}}, {});
  EXPECT_FALSE(figures.backward_transfer || figures.forward_transfer || figures.forgetting);
}

TEST(retention, compares_each_domain_with_the_moment_after_its_stage) {
  const domain_losses losses = {
      {8, 8, 7},   // before
      {2, 6, 7},   // after the first
      {3, 2, 5},   // after the second
      {4, 2.5, 1}, // after the third
  };
  const auto figures = measure_retention(losses, std::vector<double>{2, 2, 2});
  EXPECT_DOUBLE_EQ(figures.average, 2.5);
  EXPECT_DOUBLE_EQ(*figures.backward_transfer, ((2 - 4) + (2 - 2.5)) / 2);
  EXPECT_DOUBLE_EQ(*figures.retention, std::exp2(-1.25));
  EXPECT_DOUBLE_EQ(*figures.forgetting, 1.25);
  EXPECT_DOUBLE_EQ(*figures.forward_transfer, ((8 - 6) + (7 - 5)) / 2.0);
  EXPECT_DOUBLE_EQ(*figures.regret, (2 + 0.5 - 1) / 3);
}

// What a later stage improves is transfer, not forgetting.
TEST(retention, forgetting_is_measured_against_the_best_there_was) {
  const auto figures = measure_retention({{8, 8, 8}, {4, 8, 8}, {3, 4, 8}, {3.5, 4, 4}}, {});
  EXPECT_DOUBLE_EQ(*figures.backward_transfer, 0.25);
  EXPECT_DOUBLE_EQ(*figures.forgetting, 0.25);
  EXPECT_GT(*figures.retention, 1);
}

TEST(retention, domains_nobody_learns_count_for_the_average_alone) {
  const auto figures = measure_retention({{8, 8, 6}, {2, 8, 6}, {3, 2, 9}}, {});
  EXPECT_DOUBLE_EQ(*figures.backward_transfer, -1);
  EXPECT_DOUBLE_EQ(*figures.forward_transfer, 0);
  EXPECT_NEAR(figures.average, 14.0 / 3, 1e-12);
}

} // namespace
} // namespace troupe::dataflow
