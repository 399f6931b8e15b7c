// Loads add up in any order, biases move by the sign of the difference alone.
#include "dataflow/expert_balance.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

TEST(expert_balance, moves_every_bias_towards_the_mean) {
  std::vector<float> bias = {0.5f, 0.5f, 0.5f, 0.5f};
  move_selection_bias(bias, {{10, 2, 4, 0}}, 0.125f);
  EXPECT_EQ(bias, (std::vector<float>{0.375f, 0.625f, 0.5f, 0.625f}));
}

TEST(expert_balance, compares_with_a_mean_that_is_no_integer) {
  std::vector<float> bias(3);
  move_selection_bias(bias, {{3, 3, 4}}, 1.0f); // 3.33 on average
  EXPECT_EQ(bias, (std::vector<float>{1, 1, -1}));
}

TEST(expert_balance, leaves_biases_alone_without_rows) {
  std::vector<float> bias = {1, 2};
  move_selection_bias(bias, {{0, 0}}, 1.0f);
  EXPECT_EQ(bias, (std::vector<float>{1, 2}));
}

TEST(expert_load, counts_the_same_in_any_order) {
  expert_load one, other;
  const std::vector<uint64_t> a = {1, 2, 3}, b = {5, 0, 1};
  one.add(a);
  one.add(b);
  other.add(b);
  other.add(a);
  EXPECT_EQ(one.rows, other.rows);
  EXPECT_EQ(one.total(), 12u);
}

TEST(expert_load, tells_how_unequal_it_is) {
  EXPECT_EQ((expert_load{{4, 4, 4}}.imbalance()), 0);
  EXPECT_DOUBLE_EQ((expert_load{{9, 0, 0}}.imbalance()), 2);
  EXPECT_EQ((expert_load{{9, 0, 0}}.idle()), 2u);
  EXPECT_EQ(expert_load{}.imbalance(), 0);
}

} // namespace
} // namespace troupe::dataflow
