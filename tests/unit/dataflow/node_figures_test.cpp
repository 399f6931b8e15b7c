// Speeds are compared coarsely, and work follows rows only where rows count.
#include "dataflow/node_figures.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

plan_figures speeds(std::vector<uint32_t> of) {
  plan_figures out;
  for (const uint32_t each : of) out.nodes.push_back({.speed = each, .memory = 0});
  return out;
}
using times = std::vector<uint64_t>;

TEST(node_figures_test, nothing_told_is_equal) {
  EXPECT_EQ(time_of_unit({}, {true, true}), (times{1024, 1024}));
  EXPECT_EQ(time_of_unit(speeds({0, 0}), {true, true}), (times{1024, 1024}));
}

TEST(node_figures_test, twice_as_fast_takes_half_as_long) {
  EXPECT_EQ(time_of_unit(speeds({80, 72, 64}), {true, true, true}), (times{1024, 2048, 4096}));
  EXPECT_EQ(time_of_unit(speeds({80, 76}), {true, true}), (times{1024, 1448}));
}

TEST(node_figures_test, noise_makes_nobody_unequal) {
  EXPECT_EQ(time_of_unit(speeds({80, 79, 78}), {true, true, true}), (times{1024, 1024, 1024}));
  EXPECT_EQ(time_of_unit(speeds({80, 77}), {true, true})[1], 1448u);
}

TEST(node_figures_test, who_does_not_serve_is_no_measure) {
  EXPECT_EQ(time_of_unit(speeds({96, 72, 64}), {false, true, true}), (times{1024, 1024, 2048}));
}

TEST(node_figures_test, who_was_not_measured_is_as_slow_as_the_slowest) {
  EXPECT_EQ(time_of_unit(speeds({80, 0, 72}), {true, true, true}), (times{1024, 2048, 2048}));
}

TEST(node_figures_test, beyond_ten_octaves_slower_is_no_matter) {
  EXPECT_EQ(time_of_unit(speeds({UINT32_MAX, 1}), {true, true}), (times{1024, 1024 << 10}));
}

TEST(node_figures_test, rows_share_out_the_work_of_shards_where_copies_may_follow_them) {
  cluster_layout layout{.nodes = {"a"}, .stages = 1, .shards = 2, .layers = 4, .experts = 8};
  plan_figures figures{.nodes = {}, .shard_rows = {3000, 1000}};
  EXPECT_EQ(work_of_roles(layout, figures).shards, (times{512, 512}));
  layout.shard_copies_max = 2;
  EXPECT_EQ(work_of_roles(layout, figures).shards, (times{768, 256}));
  EXPECT_EQ(work_of_roles(layout, figures).stages, work_of_roles(layout, {}).stages);
  figures.shard_rows = {3, 1}; // too few to say anything
  EXPECT_EQ(work_of_roles(layout, figures).shards, (times{512, 512}));
  figures.shard_rows = {UINT64_MAX, UINT64_MAX};
  EXPECT_EQ(work_of_roles(layout, figures).shards, (times{512, 512}));
  figures.shard_rows = {1000, 1000, 1000}; // of another layout
  EXPECT_EQ(work_of_roles(layout, figures).shards, (times{512, 512}));
}

TEST(node_figures_test, bytes_are_those_of_the_roles) {
  cluster_layout layout{.nodes = {"a", "b"}, .stages = 1, .shards = 2, .layers = 4, .experts = 8};
  layout.bytes = {.sequencer = 1, .stages = {10}, .shards = {100, 200}};
  const placement where{.sequencer = 0, .stages = {1}, .shards = {{0, 1}, {0}}};
  EXPECT_EQ(bytes_on(layout, where, 0), 301u);
  EXPECT_EQ(bytes_on(layout, where, 1), 110u);
  EXPECT_EQ(memory_of({}, 0), UINT64_MAX);
}

} // namespace
} // namespace troupe::dataflow
