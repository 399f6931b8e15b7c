// Every byte of the model is in some part, however it is divided.
#include "actors/part_sizes.hpp"

#include "actors/stage_memory.hpp"
#include "base/trace.hpp"
#include "model/weight_bytes.hpp"
#include "tests/unit/actors/small_node.hpp"

#include <numeric>

namespace troupe::actors {
namespace {

dataflow::part_bytes divided(uint32_t stages, uint32_t shards, node_state& state) {
  static tests::steered_executor device; // outlives what it allocates
  static const system_clock time;
  static silent_trace trace;
  dataflow::cluster_layout layout;
  layout.nodes = {"a", "b"};
  layout.stages = stages;
  layout.shards = shards;
  tests::prepare_small_node(state, device, time, trace, layout);
  return sizes_of_parts(state.resources);
}

uint64_t sum(const std::vector<uint64_t>& of) {
  return std::accumulate(of.begin(), of.end(), uint64_t{0});
}

TEST(part_sizes_test, parts_add_up_to_weights_and_pages) {
  node_state whole_state, cut_state;
  const auto whole = divided(1, 1, whole_state);
  const auto cut = divided(2, 5, cut_state);
  ASSERT_EQ(cut.stages.size(), 2u);
  ASSERT_EQ(cut.shards.size(), 5u);
  EXPECT_EQ(sum(cut.stages), sum(whole.stages));
  EXPECT_EQ(sum(cut.shards), sum(whole.shards));
  EXPECT_EQ(cut.sequencer, whole.sequencer);
  const auto& r = whole_state.resources;
  const auto& weights = *r.bundle->weights;
  uint64_t experts = 0, others = weights.embedding.bytes();
  for (const auto& layer : weights.layers) {
    others += bytes_of(layer.attention) + bytes_of(layer.dense) + bytes_of(layer.router);
    for (const auto& expert : layer.experts)
      experts += expert.gate.bytes() + expert.up.bytes() + expert.down.bytes();
  }
  EXPECT_EQ(whole.shards[0], experts);
  const uint64_t pages = kv_bytes_per_page(*r.bundle->description, r.page_tokens) * r.page_count;
  EXPECT_EQ(whole.stages[0], others + pages);
  EXPECT_GT(experts, 0u);
  EXPECT_GE(whole.sequencer, weights.head_matrix().bytes());
}

} // namespace
} // namespace troupe::actors
