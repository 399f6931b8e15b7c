// Hot shards get copies, one change at a time, and only where it is worth an epoch.
#include "dataflow/load_balance.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::dataflow {
namespace {

using std::chrono::seconds;

time_point at(int64_t second) {
  return time_point{} + seconds(second);
}

cluster_layout cluster_of(uint32_t nodes) {
  cluster_layout out{.nodes = {},
                     .voters = 1,
                     .stages = 1,
                     .shards = 4,
                     .shard_copies = 1,
                     .shard_copies_max = 3,
                     .layers = 2,
                     .experts = 16};
  for (uint32_t n = 0; n < nodes; ++n) out.nodes.push_back(std::string(1, char('a' + n)));
  return out;
}

uint64_t longest(const std::vector<uint64_t>& times) {
  return *std::max_element(times.begin(), times.end());
}

// Roles that are on one side alone.
size_t changes(const placement& before, const placement& after) {
  size_t count = before.sequencer != after.sequencer;
  for (size_t n = 0; n < before.stages.size(); ++n) count += before.stages[n] != after.stages[n];
  for (size_t n = 0; n < before.shards.size(); ++n) {
    auto a = before.shards[n], b = after.shards[n];
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    std::vector<node_index> only_after;
    std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(only_after));
    count += a == b ? before.shards[n] != after.shards[n] : std::max<size_t>(1, only_after.size());
  }
  return count;
}

TEST(row_window_test, counts_since_the_last_look_and_forgets_half_in_eleven_seconds) {
  row_window window(2);
  EXPECT_TRUE(window.due(at(0)));
  window.observe(std::vector<uint64_t>{1600, 0}, at(0));
  EXPECT_EQ(window.rows(), (std::vector<uint64_t>{1600, 0}));
  EXPECT_FALSE(window.due(at(0)));
  window.observe(std::vector<uint64_t>{1700, 10}, at(1));
  EXPECT_EQ(window.rows(), (std::vector<uint64_t>{1600, 10}));
  window.observe(std::vector<uint64_t>{1700, 10}, at(12));
  EXPECT_GT(window.rows()[0], 700u);
  EXPECT_LT(window.rows()[0], 900u);
  window.observe(std::vector<uint64_t>{1700, 10}, at(2000));
  EXPECT_EQ(window.rows(), (std::vector<uint64_t>{0, 0}));
  window.observe(std::vector<uint64_t>{5, 10}, at(2001)); // a new count
  EXPECT_EQ(window.rows(), (std::vector<uint64_t>{5, 0}));
}

TEST(load_balance_test, a_hot_shard_gets_a_copy) {
  const auto layout = cluster_of(4);
  const std::vector<bool> serving(4, true);
  const placement where{.sequencer = 0, .stages = {0}, .shards = {{0}, {1}, {2}, {3}}};
  const plan_figures figures{.nodes = {}, .shard_rows = {100, 9700, 100, 100}};
  const auto next = balance_load(layout, where, serving, figures);
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->shards[1].size(), 2u) << describe(*next, layout);
  EXPECT_EQ(next->shards[1].front(), 1u);
  EXPECT_EQ(changes(where, *next), 1u);
  // And a plan for another reason lets it be, while the shard is hot.
  EXPECT_EQ(plan_placement(layout, *next, serving, figures).shards[1], next->shards[1]);
  const plan_figures cold{.nodes = {}, .shard_rows = {2500, 2000, 2500, 2500}};
  EXPECT_EQ(plan_placement(layout, *next, serving, cold).shards[1].size(), 1u);
}

TEST(load_balance_test, even_load_few_rows_and_one_copy_each_change_nothing) {
  auto layout = cluster_of(4);
  const std::vector<bool> serving(4, true);
  const placement where{.sequencer = 0, .stages = {0}, .shards = {{0}, {1}, {2}, {3}}};
  EXPECT_FALSE(balance_load(layout, where, serving, {{}, {90, 105, 100, 100}}).has_value());
  EXPECT_FALSE(balance_load(layout, where, serving, {{}, {0, 20, 0, 0}}).has_value());
  EXPECT_FALSE(balance_load(layout, where, serving, {}).has_value());
  layout.shard_copies_max = 1;
  EXPECT_FALSE(balance_load(layout, where, serving, {{}, {0, 9000, 0, 0}}).has_value());
}

TEST(load_balance_test, a_copy_needs_room) {
  auto layout = cluster_of(2);
  layout.bytes = {.sequencer = 0, .stages = {10}, .shards = {10, 10, 10, 10}};
  const std::vector<bool> serving(2, true);
  const placement where{.sequencer = 0, .stages = {0}, .shards = {{0}, {1}, {0}, {1}}};
  plan_figures figures{.nodes = {{0, 30}, {0, 20}}, .shard_rows = {0, 9000, 0, 0}};
  EXPECT_FALSE(balance_load(layout, where, serving, figures).has_value());
  figures.nodes[0].memory = 40;
  EXPECT_TRUE(balance_load(layout, where, serving, figures).has_value());
}

TEST(load_balance_test, every_change_is_one_role_and_worth_it_and_they_come_to_an_end) {
  uint32_t changed = 0, copies = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const random_key key{seed, random_subsystem::faults, 3};
    uint64_t draws = 0;
    const auto below = [&](uint64_t bound) { return random_below(key, draws++, bound); };
    auto layout = cluster_of(static_cast<uint32_t>(2 + below(6)));
    layout.stages = static_cast<uint32_t>(1 + below(2));
    layout.shards = static_cast<uint32_t>(1 + below(12));
    layout.shard_copies = static_cast<uint32_t>(1 + below(2));
    const std::vector<bool> serving(layout.nodes.size(), true);
    plan_figures figures;
    for (size_t n = 0; n < serving.size(); ++n)
      figures.nodes.push_back({static_cast<uint32_t>(60 + below(12)), 0});
    for (uint32_t n = 0; n < layout.shards; ++n)
      figures.shard_rows.push_back(below(100) < 20 ? below(100000) : below(1000));
    auto plan = plan_placement(layout, {}, serving, figures);
    int step = 0;
    for (; step < 100; ++step) {
      const auto next = balance_load(layout, plan, serving, figures);
      if (!next) break;
      ASSERT_TRUE(validate(*next, layout, serving).ok()) << seed;
      ASSERT_EQ(changes(plan, *next), 1u)
          << seed << describe(plan, layout) << " / " << describe(*next, layout);
      const uint64_t before = longest(busy_times(layout, plan, serving, figures));
      const uint64_t after = longest(busy_times(layout, *next, serving, figures));
      ASSERT_LE(after * 8, before * 7 + 8) << seed;
      for (const auto& each : next->shards) ASSERT_LE(each.size(), layout.shard_copies_max);
      ++changed;
      plan = *next;
    }
    ASSERT_LT(step, 100) << seed;
    for (const auto& each : plan.shards) copies += each.size() > layout.shard_copies;
  }
  EXPECT_GT(changed, 50u);
  EXPECT_GT(copies, 10u);
}

} // namespace
} // namespace troupe::dataflow
