// Grouping by expert: stable, complete, and one run of slots per shard.
#include "base/random.hpp"
#include "dataflow/expert_groups.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::dataflow {
namespace {

pipeline_graph graph_of(uint32_t experts, uint32_t shards, expert_layout layout) {
  return *plan_single_node({.layers = 1, .experts = experts, .shards = shards, .layout = layout});
}

TEST(expert_groups_test, sorts_rows_by_shard_and_expert) {
  expert_groups groups(graph_of(4, 2, expert_layout::strided)); // shards {0, 2} and {1, 3}
  const std::vector<int32_t> ids = {1, 0, 2, 1, 0, 1};          // three rows of two
  ASSERT_TRUE(groups.build(ids, 2).ok());
  EXPECT_EQ(std::vector<uint32_t>(groups.rows().begin(), groups.rows().end()),
            (std::vector<uint32_t>{0, 2, 1, 0, 1, 2}));
  EXPECT_EQ(std::vector<uint32_t>(groups.slots().begin(), groups.slots().end()),
            (std::vector<uint32_t>{3, 0, 2, 4, 1, 5}));
  ASSERT_EQ(groups.groups().size(), 3u);
  EXPECT_EQ(groups.groups()[1].expert, 2u);
  EXPECT_EQ(groups.groups()[1].local, 1u);
  EXPECT_EQ(groups.shards()[1].slot_begin, 3u);
  EXPECT_EQ(groups.shards()[1].slot_end, 6u);
  EXPECT_EQ(groups.shards()[1].group_begin, 2u);
}

TEST(expert_groups_test, no_rows_give_no_groups) {
  expert_groups groups(graph_of(4, 2, expert_layout::contiguous));
  ASSERT_TRUE(groups.build({}, 2).ok());
  EXPECT_TRUE(groups.groups().empty());
  for (const shard_slots& shard : groups.shards()) EXPECT_TRUE(shard.empty());
}

TEST(expert_groups_test, refuses_ids_that_are_no_experts_and_broken_rows) {
  expert_groups groups(graph_of(4, 2, expert_layout::contiguous));
  for (const std::vector<int32_t>& ids : {std::vector<int32_t>{0, 4}, {-1, 0}, {0, 1, 2}}) {
    EXPECT_EQ(groups.build(ids, 2).code(), status_code::corrupt);
    EXPECT_TRUE(groups.rows().empty() && groups.slots().empty() && groups.groups().empty());
  }
  EXPECT_EQ(groups.build({}, 0).code(), status_code::corrupt);
  const std::vector<int32_t> good = {3, 0};
  EXPECT_TRUE(groups.build(good, 2).ok()); // usable again
  EXPECT_EQ(groups.rows().size(), 2u);
}

TEST(expert_groups_test, random_choices_are_grouped_as_a_stable_sort_would) {
  uint64_t n = 0;
  const auto below = [&n](uint64_t bound) {
    return random_below({5, random_subsystem::workload, 0}, n++, bound);
  };
  for (int round = 0; round < 300; ++round) {
    const auto experts = static_cast<uint32_t>(1 + below(12));
    const auto shards = static_cast<uint32_t>(1 + below(experts));
    const auto layout = below(2) == 0 ? expert_layout::contiguous : expert_layout::strided;
    const pipeline_graph graph = graph_of(experts, shards, layout);
    const auto top_k = static_cast<uint32_t>(1 + below(4));
    std::vector<int32_t> ids(below(20) * top_k);
    for (auto& id : ids) id = static_cast<int32_t>(below(experts));
    expert_groups groups(graph);
    ASSERT_TRUE(groups.build(ids, top_k).ok());

    std::vector<uint32_t> order(ids.size());
    for (uint32_t pair = 0; pair < ids.size(); ++pair) order[pair] = pair;
    const auto rank = [&](uint32_t pair) {
      const auto expert = static_cast<uint32_t>(ids[pair]);
      const uint32_t shard = graph.shard_of(expert);
      return std::pair(shard, graph.shards[shard].local_index(expert));
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return rank(a) < rank(b); });
    for (uint32_t slot = 0; slot < order.size(); ++slot) {
      ASSERT_EQ(groups.rows()[slot], order[slot] / top_k);
      ASSERT_EQ(groups.slots()[order[slot]], slot);
    }
    uint32_t slot = 0;
    for (uint32_t shard = 0; shard < shards; ++shard) {
      const shard_slots& part = groups.shards()[shard];
      ASSERT_EQ(part.slot_begin, slot);
      for (uint32_t g = part.group_begin; g < part.group_end; ++g) {
        const expert_group& group = groups.groups()[g];
        ASSERT_EQ(group.begin, slot);
        ASSERT_GT(group.count(), 0u);
        ASSERT_EQ(graph.shards[shard].expert(group.local), group.expert);
        for (; slot < group.end; ++slot)
          ASSERT_EQ(static_cast<uint32_t>(ids[order[slot]]), group.expert);
      }
      ASSERT_EQ(part.slot_end, slot);
    }
    ASSERT_EQ(slot, ids.size());
  }
}

} // namespace
} // namespace troupe::dataflow
