// What fits where.
#include "simulations/capacity/system_plan.hpp"

#include "tests/unit/simulations_capacity/studies.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

plan_request deepseek(uint32_t nodes, uint32_t copies) {
  plan_request out = small_study().system;
  out.model = *model_named("deepseek-v3");
  out.nodes = nodes;
  out.copies = copies;
  return out;
}

TEST(system_plan, parts_hold_all_weights_exactly_once) {
  const auto plan = *plan_system(deepseek(8, 1));
  double bytes = 0;
  for (uint32_t n = 0; n < plan.layout.stages; ++n) bytes += stage_bytes(plan, n);
  for (uint32_t n = 0; n < plan.layout.shards; ++n) bytes += shard_bytes(plan, n);
  EXPECT_NEAR(bytes / (plan.model.params() * plan.model.weight_bytes), 1, 1e-12);
}

TEST(system_plan, a_replica_survives_the_loss_of_a_node) {
  const auto plan = *plan_system(deepseek(8, 1));
  ASSERT_GT(plan.nodes_per_replica, 1u);
  std::vector<bool> serving(plan.nodes_per_replica, true);
  serving[0] = false;
  const auto less = dataflow::plan_placement(plan.layout, plan.initial, serving);
  const auto kv = kv_tokens_of(plan, less);
  ASSERT_TRUE(kv.has_value());
  EXPECT_LT(*kv, plan.kv_tokens);
}

TEST(system_plan, copies_cost_nodes_or_pages) {
  const auto one = *plan_system(deepseek(16, 1)), two = *plan_system(deepseek(16, 2));
  EXPECT_GE(two.nodes_per_replica, one.nodes_per_replica);
  auto same = deepseek(16, 2);
  same.nodes_per_replica = 8;
  auto single = same;
  single.copies = 1;
  EXPECT_LT(plan_system(same)->kv_tokens, plan_system(single)->kv_tokens);
  const auto doubled = *plan_system(same);
  for (const auto& shard : doubled.initial.shards) EXPECT_EQ(shard.size(), 2u);
}

TEST(system_plan, leftover_nodes_are_idle) {
  auto request = deepseek(7, 1);
  request.nodes_per_replica = 3;
  const auto plan = *plan_system(request);
  EXPECT_EQ(plan.replicas, 2u);
  EXPECT_EQ(plan.idle_nodes(), 1u);
}

TEST(system_plan, says_what_does_not_fit) {
  auto request = deepseek(1, 1);
  request.nodes_per_replica = 1;
  const auto small = plan_system(request);
  ASSERT_FALSE(small.has_value());
  EXPECT_EQ(small.error().code(), status_code::exhausted);
  EXPECT_NE(small.error().why().find("needs 671"), std::string::npos) << small.error().why();
  EXPECT_FALSE(plan_system(deepseek(257, 1)).has_value()); // 2056 devices
  EXPECT_FALSE(plan_system(deepseek(0, 1)).has_value());
  request = deepseek(4, 5);
  request.nodes_per_replica = 4;
  EXPECT_EQ(plan_system(request).error().code(), status_code::invalid_argument);
}

} // namespace
} // namespace troupe::simulations::capacity
