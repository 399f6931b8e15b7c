// Roles stay, homeless ones find homes, copies lie apart, and balance comes one move at a time.
#include "dataflow/placement.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::dataflow {
namespace {

cluster_layout cluster_of(uint32_t nodes) {
  cluster_layout layout{.nodes = {},
                        .voters = 1,
                        .stages = 2,
                        .shards = 4,
                        .shard_copies = 2,
                        .layers = 8,
                        .experts = 16};
  for (uint32_t n = 0; n < nodes; ++n) layout.nodes.push_back(std::string(1, 'a' + char(n)));
  return layout;
}

std::vector<bool> all(const cluster_layout& layout) {
  return std::vector<bool>(layout.nodes.size(), true);
}

uint64_t load_of(const placement& where, const cluster_layout& layout, node_index node) {
  uint64_t load = where.sequencer == node ? 1 : 0;
  const auto part = [](uint32_t count, uint32_t parts, uint32_t at) {
    return 2u * (count / parts + (at < count % parts ? 1 : 0));
  };
  for (uint32_t n = 0; n < where.stages.size(); ++n)
    if (where.stages[n] == node) load += part(layout.layers, layout.stages, n);
  for (uint32_t n = 0; n < where.shards.size(); ++n)
    for (const node_index host : where.shards[n])
      if (host == node) load += part(layout.experts, layout.shards, n);
  return load;
}

// Roles of `before` on serving nodes that are elsewhere in `after`.
uint32_t moves(const placement& before, const placement& after, const std::vector<bool>& serving) {
  const auto stays = [&](node_index node) { return node != no_node && serving[node]; };
  uint32_t count = stays(before.sequencer) && before.sequencer != after.sequencer;
  for (size_t n = 0; n < before.stages.size() && n < after.stages.size(); ++n)
    count += stays(before.stages[n]) && before.stages[n] != after.stages[n];
  for (size_t n = 0; n < before.shards.size() && n < after.shards.size(); ++n)
    for (const node_index host : before.shards[n])
      count += stays(host) && std::count(after.shards[n].begin(), after.shards[n].end(), host) == 0;
  return count;
}

TEST(placement_test, one_node_plays_everything) {
  const auto layout = cluster_of(1);
  const auto plan = plan_placement(layout, {}, all(layout));
  EXPECT_TRUE(validate(plan, layout, all(layout)).ok());
  EXPECT_EQ(roles_of(plan, 0).size(), 2u + 4u + 4u);
  EXPECT_EQ(describe(plan, layout),
            "sequencer a, attention_stage/0 a, attention_stage/1 a, expert_shard/0 a, "
            "expert_shard/1 a, expert_shard/2 a, expert_shard/3 a");
}

TEST(placement_test, a_first_placement_is_balanced) {
  const auto layout = cluster_of(5);
  const auto plan = plan_placement(layout, {}, all(layout));
  ASSERT_TRUE(validate(plan, layout, all(layout)).ok());
  for (node_index n = 0; n < 5; ++n) {
    EXPECT_GE(load_of(plan, layout, n), 16u); // ten parts of load 8 and the sequencer
    EXPECT_LE(load_of(plan, layout, n), 17u);
  }
}

TEST(placement_test, nobody_serving_is_an_empty_placement) {
  const auto layout = cluster_of(2);
  const auto plan = plan_placement(layout, plan_placement(layout, {}, all(layout)), {false, false});
  EXPECT_EQ(plan, placement{});
  EXPECT_FALSE(complete(plan, layout));
  EXPECT_TRUE(validate(plan, layout, {false, false}).ok());
  EXPECT_FALSE(validate(plan, layout, {false, true}).ok());
  EXPECT_EQ(describe(plan, layout), "nobody serves");
  EXPECT_TRUE(roles_of(plan, no_node).empty());
}

TEST(placement_test, a_lost_first_copy_is_succeeded_by_the_next) {
  auto layout = cluster_of(3);
  const auto before = plan_placement(layout, {}, all(layout));
  const node_index lost = before.shards[0][0];
  std::vector<bool> serving = all(layout);
  serving[lost] = false;
  const auto after = plan_placement(layout, before, serving);
  ASSERT_TRUE(validate(after, layout, serving).ok());
  EXPECT_EQ(after.shards[0][0], before.shards[0][1]);
  EXPECT_EQ(after.shards[0].size(), 2u); // a new copy at once
  EXPECT_LE(moves(before, after, serving), 1u);
}

TEST(placement_test, preferred_copies_spread_the_work) {
  cluster_layout layout = cluster_of(4);
  layout.stages = 1;
  layout.shards = 8;
  const auto where = plan_placement(layout, {}, all(layout));
  // The stage weighs as much as eight of the sixteen experts, a shard as two: the node with the
  // stage prefers none or one, and the eight shards go over the others.
  std::vector<uint32_t> preferred(4, 0);
  for (const auto& copies : where.shards) ++preferred[copies.front()];
  for (node_index n = 0; n < 4; ++n)
    EXPECT_LE(preferred[n], n == where.stages[0] ? 1u : 3u) << describe(where, layout);
  EXPECT_EQ(plan_placement(layout, where, all(layout)), where); // and that stands
}

TEST(placement_test, a_node_that_comes_back_gets_one_role_and_no_stage_before_a_copy) {
  const auto layout = cluster_of(3);
  const std::vector<bool> two = {true, true, false};
  const auto before = plan_placement(layout, {}, two);
  const auto after = plan_placement(layout, before, all(layout));
  EXPECT_EQ(moves(before, after, all(layout)), 1u);
  EXPECT_EQ(after.stages, before.stages);
  EXPECT_EQ(roles_of(after, 2).at(0).kind, role_kind::expert_shard);
}

TEST(placement_test, a_dense_model_balances_by_stages) {
  cluster_layout layout{.nodes = {"a", "b"}, .stages = 4, .layers = 8};
  const auto before = plan_placement(layout, {}, {true, false});
  EXPECT_TRUE(before.shards.empty());
  const auto after = plan_placement(layout, before, {true, true});
  EXPECT_EQ(moves(before, after, {true, true}), 1u);
  EXPECT_EQ(roles_of(after, 1), (std::vector<role>{{role_kind::attention_stage, 0}}));
}

TEST(placement_test, rebalancing_comes_to_rest) {
  const auto layout = cluster_of(6);
  auto plan = plan_placement(layout, {}, {true, false, false, false, false, false});
  uint32_t rounds = 0;
  for (; rounds < 100; ++rounds) {
    const auto next = plan_placement(layout, plan, all(layout));
    if (next == plan) break;
    plan = next;
  }
  EXPECT_LT(rounds, 20u);
  for (node_index n = 0; n < 6; ++n) EXPECT_GE(load_of(plan, layout, n), 8u);
}

plan_figures memory_of_nodes(std::vector<uint64_t> bytes) {
  plan_figures out;
  for (const uint64_t each : bytes) out.nodes.push_back({.speed = 0, .memory = each});
  return out;
}

TEST(placement_test, a_faster_node_gets_more) {
  const auto layout = cluster_of(3);
  const plan_figures figures{.nodes = {{.speed = 80}, {.speed = 72}, {.speed = 64}}};
  const auto plan = plan_placement(layout, {}, all(layout), figures);
  EXPECT_GT(load_of(plan, layout, 0), load_of(plan, layout, 1));
  EXPECT_GT(load_of(plan, layout, 1), load_of(plan, layout, 2));
}

TEST(placement_test, a_node_too_small_for_any_part_plays_nothing) {
  auto layout = cluster_of(3);
  layout.bytes = {.sequencer = 10, .stages = {100, 100}, .shards = {50, 50, 50, 50}};
  const auto figures = memory_of_nodes({1000, 1000, 9});
  const auto plan = plan_placement(layout, {}, all(layout), figures);
  ASSERT_TRUE(validate(plan, layout, all(layout)).ok());
  EXPECT_TRUE(roles_of(plan, 2).empty()) << describe(plan, layout);
  for (const auto& copies : plan.shards) EXPECT_EQ(copies.size(), 2u);
}

TEST(placement_test, where_room_is_short_copies_go_first) {
  auto layout = cluster_of(2);
  layout.bytes = {.sequencer = 0, .stages = {100, 100}, .shards = {50, 50, 50, 50}};
  const auto before = plan_placement(layout, {}, all(layout), memory_of_nodes({300, 300}));
  uint32_t copies = 0;
  for (const auto& each : before.shards) copies += static_cast<uint32_t>(each.size());
  EXPECT_EQ(copies, 8u) << describe(before, layout);
  const auto after = plan_placement(layout, before, {true, false}, memory_of_nodes({420, 300}));
  EXPECT_TRUE(validate(after, layout, {true, false}).ok()) << describe(after, layout);
  const auto tight = plan_placement(layout, {}, all(layout), memory_of_nodes({220, 200}));
  ASSERT_TRUE(validate(tight, layout, all(layout)).ok()) << describe(tight, layout);
  for (const auto& each : tight.shards) EXPECT_EQ(each.size(), 1u);
}

TEST(placement_test, what_does_not_fit_is_nowhere_and_said_why) {
  auto layout = cluster_of(2);
  layout.bytes = {.sequencer = 0, .stages = {100, 100}, .shards = {50, 50, 50, 50}};
  const auto figures = memory_of_nodes({90, 250});
  EXPECT_EQ(plan_placement(layout, {}, all(layout), figures), placement{});
  EXPECT_EQ(
      why_no_room(layout, all(layout), figures),
      "one copy of everything needs 400 bytes; a has 90, b has 250; 60 bytes are missing in all");
  EXPECT_EQ(why_no_room(layout, {true, false}, figures),
            "one copy of everything needs 400 bytes; a has 90; 310 bytes are missing in all; "
            "attention_stage/0 alone needs 100, 10 more than any node has");
  EXPECT_EQ(why_no_room(layout, {false, false}, figures), "");
}

TEST(placement_test, validate_names_what_is_wrong) {
  const auto layout = cluster_of(3);
  const auto good = plan_placement(layout, {}, all(layout));
  const auto why = [&](auto spoil) {
    auto plan = good;
    spoil(plan);
    return validate(plan, layout, all(layout)).why();
  };
  EXPECT_NE(why([](auto& p) { p.sequencer = no_node; }).find("sequencer"), std::string::npos);
  EXPECT_NE(why([](auto& p) { p.stages[1] = 7; }).find("attention_stage/1"), std::string::npos);
  EXPECT_NE(why([](auto& p) { p.stages.pop_back(); }).find("1 stages"), std::string::npos);
  EXPECT_NE(why([](auto& p) { p.shards[2].clear(); }).find("nowhere"), std::string::npos);
  EXPECT_NE(why([](auto& p) { p.shards[2][0] = 3; }).find("does not serve"), std::string::npos);
  EXPECT_NE(why([](auto& p) { p.shards[2][1] = p.shards[2][0]; }).find("two copies"),
            std::string::npos);
}

TEST(placement_test, any_coming_and_going_keeps_it_complete_valid_and_still) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const random_key key{seed, random_subsystem::faults, 1};
    uint64_t draws = 0;
    const auto below = [&](uint64_t bound) { return random_below(key, draws++, bound); };
    auto layout = cluster_of(static_cast<uint32_t>(1 + below(8)));
    layout.layers = static_cast<uint32_t>(1 + below(12));
    layout.stages = static_cast<uint32_t>(1 + below(layout.layers));
    layout.experts = static_cast<uint32_t>(below(20));
    layout.shards = static_cast<uint32_t>(layout.experts == 0 ? 1 : 1 + below(layout.experts));
    layout.shard_copies = static_cast<uint32_t>(1 + below(3));
    ASSERT_TRUE(validate(layout).ok());
    std::vector<bool> serving(layout.nodes.size(), false);
    placement plan;
    for (int step = 0; step < 60; ++step) {
      const size_t node = below(serving.size());
      serving[node] = !serving[node];
      const auto next = plan_placement(layout, plan, serving);
      const auto s = validate(next, layout, serving);
      ASSERT_TRUE(s.ok()) << seed << ": " << s.why();
      const auto count = std::count(serving.begin(), serving.end(), true);
      ASSERT_EQ(complete(next, layout), count > 0);
      for (const auto& copies : next.shards)
        ASSERT_EQ(copies.size(), std::min<size_t>(layout.shard_copies, count));
      ASSERT_LE(moves(plan, next, serving), 1u) << seed;
      plan = next;
    }
  }
}

} // namespace
} // namespace troupe::dataflow
