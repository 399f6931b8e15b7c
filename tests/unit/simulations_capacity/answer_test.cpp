// The search finds the smallest cluster that does.
#include "simulations/capacity/answer.hpp"

#include "tests/unit/simulations_capacity/studies.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

answer_options quick() {
  answer_options out;
  out.copies_max = 1;
  out.availability = 0.99;
  out.sampling = {
      .samples = 1, .replicas_max = 1, .before = 5 * second_ns, .after = 10 * second_ns};
  return out;
}

TEST(answer, one_node_less_would_not_do) {
  study of = small_study();
  of.rate_per_s = 500;
  of.span = 10 * second_ns;
  of.warm_up = 2 * second_ns;
  of.objective = {200, 20};
  const auto found = *find_answer(of, quick());
  ASSERT_TRUE(found.best.has_value());
  const uint32_t nodes = found.choices[*found.best].nodes;
  ASSERT_GT(nodes, 1u);
  bool less_was_tried = false;
  for (const auto& each : found.tried) {
    EXPECT_EQ(each.meets, each.nodes >= nodes) << each.nodes;
    less_was_tried = less_was_tried || each.nodes == nodes - 1;
  }
  EXPECT_TRUE(less_was_tried);
}

TEST(answer, an_impossible_objective_has_none) {
  study of = small_study();
  of.rate_per_s = 0.2;
  of.objective = {0.001, 0.001};
  const auto found = *find_answer(of, quick());
  EXPECT_FALSE(found.best.has_value());
  EXPECT_TRUE(found.choices.empty());
  EXPECT_EQ(found.tried.back().nodes, devices_max / 8);
}

TEST(answer, an_availability_out_of_reach_is_said) {
  study of = small_study();
  auto options = quick();
  options.availability = 1;
  const auto found = *find_answer(of, options);
  EXPECT_FALSE(found.best.has_value());
  EXPECT_EQ(found.choices.size(), 1u);
}

} // namespace
} // namespace troupe::simulations::capacity
