// The pipeline graph: even cuts, names, and everything that makes a graph wrong.
#include "dataflow/pipeline.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

TEST(pipeline_test, cuts_layers_and_experts_evenly_with_larger_parts_first) {
  const auto graph = plan_single_node({.layers = 8, .experts = 10, .stages = 3, .shards = 4});
  ASSERT_TRUE(graph.has_value());
  EXPECT_EQ(graph->stages, (std::vector<layer_range>{{0, 3}, {3, 6}, {6, 8}}));
  EXPECT_EQ(graph->shards, (std::vector<expert_set>{{0, 3, 1}, {3, 3, 1}, {6, 2, 1}, {8, 2, 1}}));
}

TEST(pipeline_test, strided_shards_deal_the_experts_out_in_turn) {
  const auto graph =
      plan_single_node({.layers = 1, .experts = 5, .shards = 2, .layout = expert_layout::strided});
  ASSERT_TRUE(graph.has_value());
  EXPECT_EQ(graph->shards, (std::vector<expert_set>{{0, 3, 2}, {1, 2, 2}}));
  EXPECT_EQ(graph->shard_of(4), 0u);
  EXPECT_EQ(graph->shard_of(3), 1u);
  EXPECT_EQ(graph->shards[0].local_index(4), 2u);
}

TEST(pipeline_test, every_plan_is_valid_and_finds_each_layer_and_expert) {
  for (uint32_t layers = 1; layers <= 9; ++layers)
    for (uint32_t stages = 1; stages <= layers; ++stages)
      for (uint32_t experts = 0; experts <= 9; ++experts)
        for (uint32_t shards = 1; shards <= std::max(1u, experts); ++shards)
          for (const auto layout : {expert_layout::contiguous, expert_layout::strided}) {
            const auto graph = plan_single_node({layers, experts, stages, shards, layout, 1});
            ASSERT_TRUE(graph.has_value());
            ASSERT_TRUE(validate(*graph).ok());
            for (uint32_t layer = 0; layer < layers; ++layer)
              ASSERT_TRUE(graph->stages[graph->stage_of(layer)].contains(layer));
            for (uint32_t expert = 0; expert < experts; ++expert) {
              const expert_set& shard = graph->shards[graph->shard_of(expert)];
              ASSERT_EQ(shard.expert(shard.local_index(expert)), expert);
            }
          }
}

TEST(pipeline_test, a_dense_model_has_no_shards_and_no_routers) {
  const auto graph = plan_single_node({.layers = 2, .experts = 0, .shards = 4});
  ASSERT_TRUE(graph.has_value());
  EXPECT_TRUE(graph->shards.empty());
  for (const role& who : graph->roles()) EXPECT_NE(who.kind, role_kind::gating_router);
}

TEST(pipeline_test, lists_every_role_once_in_a_fixed_order) {
  const auto graph = plan_single_node({.layers = 2, .experts = 4, .stages = 2, .shards = 2});
  std::vector<std::string> names;
  for (const role& who : graph->roles()) names.push_back(to_string(who));
  EXPECT_EQ(names,
            (std::vector<std::string>{"ingress/0", "sequencer/0", "kv_cache_manager/0",
                                      "attention_stage/0", "attention_stage/1", "gating_router/0",
                                      "gating_router/1", "expert_shard/0", "expert_shard/1"}));
}

TEST(pipeline_test, role_names_read_back) {
  for (uint8_t kind = 0; kind <= static_cast<uint8_t>(role_kind::node_supervisor); ++kind)
    for (const uint32_t index : {0u, 7u, 12u, UINT32_MAX}) {
      const role who{static_cast<role_kind>(kind), index};
      const auto read = parse_role(to_string(who));
      ASSERT_TRUE(read.has_value()) << to_string(who);
      EXPECT_EQ(*read, who);
    }
}

TEST(pipeline_test, refuses_names_that_are_no_roles) {
  for (const char* name :
       {"", "/", "expert_shard", "expert_shard/", "expert_shard/x", "expert_shard/1x",
        "expert_shard/-1", "expert_shard/+1", "expert_shard/4294967296", "shard/1",
        "expert_shard/01", " expert_shard/1", "expert_shard/1/2", "Ingress/0"}) {
    const auto read = parse_role(name);
    ASSERT_FALSE(read.has_value()) << name;
    EXPECT_EQ(read.error().code(), status_code::invalid_argument);
  }
}

TEST(pipeline_test, refuses_more_parts_than_there_is_to_share_out) {
  EXPECT_FALSE(plan_single_node({.layers = 2, .stages = 3}).has_value());
  EXPECT_FALSE(plan_single_node({.layers = 2, .stages = 0}).has_value());
  EXPECT_FALSE(plan_single_node({.layers = 0}).has_value());
  EXPECT_FALSE(plan_single_node({.layers = 2, .experts = 4, .shards = 5}).has_value());
  EXPECT_FALSE(plan_single_node({.layers = 2, .experts = 4, .shards = 0}).has_value());
}

TEST(pipeline_test, says_what_is_wrong_with_a_graph) {
  const pipeline_graph good =
      *plan_single_node({.layers = 4, .experts = 4, .stages = 2, .shards = 2});
  const auto why = [&good](auto change) {
    pipeline_graph graph = good;
    change(graph);
    return validate(graph).why();
  };
  EXPECT_EQ(validate(good).why(), "");
  EXPECT_NE(why([](auto& g) { g.stages.clear(); }), "");
  EXPECT_NE(why([](auto& g) { g.stages.pop_back(); }), "");
  EXPECT_NE(why([](auto& g) { g.stages[1].begin = 3; }), "");      // a gap
  EXPECT_NE(why([](auto& g) { g.stages[1].begin = 1; }), "");      // an overlap
  EXPECT_NE(why([](auto& g) { g.stages[1].end = 5; }), "");        // beyond the model
  EXPECT_NE(why([](auto& g) { g.stages.push_back({4, 4}); }), ""); // empty
  EXPECT_NE(why([](auto& g) { g.shards[0].stride = 0; }), "");
  EXPECT_NE(why([](auto& g) { g.shards[0].count = 0; }), "");
  EXPECT_EQ(why([](auto& g) { g.shards[0].count = 1; }), "expert 1 is in no shard");
  EXPECT_NE(why([](auto& g) { g.shards[0].count = 3; }).find("two shards"), std::string::npos);
  EXPECT_NE(why([](auto& g) { g.shards[1].stride = UINT32_MAX; }), ""); // must not wrap around
}

} // namespace
} // namespace troupe::dataflow
