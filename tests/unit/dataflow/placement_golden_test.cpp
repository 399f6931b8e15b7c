// Plans as they were before nodes told speed, memory and load: with none of these, and with equal
// ones, not one role moves.
#include "dataflow/placement.hpp"

#include "base/random.hpp"
#include "schemas/checksum.hpp"

#include <gtest/gtest.h>

#include <span>

namespace troupe::dataflow {
namespace {

cluster_layout layout_of(uint64_t nodes, uint32_t layers, uint32_t stages, uint32_t experts,
                         uint32_t shards, uint32_t copies) {
  cluster_layout out;
  for (uint64_t n = 0; n < nodes; ++n) out.nodes.push_back(std::string(1, char('a' + n)));
  out.layers = layers;
  out.stages = stages;
  out.experts = experts;
  out.shards = shards;
  out.shard_copies = copies;
  return out;
}

struct golden_case {
  cluster_layout layout;
  std::string serving; // names
  const char* first;   // the first plan
  const char* without; // the next one, without node a
};

const golden_case cases[] = {
    {layout_of(3, 8, 1, 16, 3, 2), "abc",
     "sequencer c, attention_stage/0 a, expert_shard/0 b c, expert_shard/1 c b, expert_shard/2 b a",
     "sequencer c, attention_stage/0 b, expert_shard/0 c b, expert_shard/1 c b, expert_shard/2 b "
     "c"},
    {layout_of(5, 8, 2, 16, 4, 2), "abcde",
     "sequencer a, attention_stage/0 a, attention_stage/1 b, expert_shard/0 c d, expert_shard/1 e "
     "a, expert_shard/2 b c, expert_shard/3 d e",
     "sequencer d, attention_stage/0 b, attention_stage/1 b, expert_shard/0 c d, expert_shard/1 e "
     "c, expert_shard/2 c b, expert_shard/3 d e"},
    {layout_of(4, 12, 3, 20, 7, 1), "abd",
     "sequencer b, attention_stage/0 a, attention_stage/1 b, attention_stage/2 d, expert_shard/0 "
     "a, expert_shard/1 b, expert_shard/2 d, expert_shard/3 a, expert_shard/4 b, expert_shard/5 d, "
     "expert_shard/6 a",
     "sequencer b, attention_stage/0 d, attention_stage/1 b, attention_stage/2 d, expert_shard/0 "
     "b, expert_shard/1 b, expert_shard/2 d, expert_shard/3 b, expert_shard/4 b, expert_shard/5 d, "
     "expert_shard/6 d"},
    {layout_of(2, 8, 4, 0, 1, 1), "ab",
     "sequencer a, attention_stage/0 a, attention_stage/1 b, attention_stage/2 a, "
     "attention_stage/3 b",
     "sequencer b, attention_stage/0 b, attention_stage/1 b, attention_stage/2 b, "
     "attention_stage/3 b"},
    {layout_of(6, 4, 2, 8, 8, 3), "abcdef",
     "sequencer e, attention_stage/0 a, attention_stage/1 b, expert_shard/0 c d e, expert_shard/1 "
     "f c d, expert_shard/2 e f a, expert_shard/3 d b c, expert_shard/4 f e a, expert_shard/5 c b "
     "d, expert_shard/6 e f a, expert_shard/7 d b c",
     "sequencer e, attention_stage/0 f, attention_stage/1 b, expert_shard/0 c d e, expert_shard/1 "
     "d f c, expert_shard/2 e f b, expert_shard/3 d e c, expert_shard/4 e f c, expert_shard/5 c b "
     "d, expert_shard/6 f e d, expert_shard/7 d b c"},
};

TEST(placement_golden_test, plans_are_those_of_before) {
  for (const auto& each : cases) {
    std::vector<bool> serving;
    for (const auto& name : each.layout.nodes)
      serving.push_back(each.serving.find(name) != std::string::npos);
    const auto first = plan_placement(each.layout, {}, serving);
    EXPECT_EQ(describe(first, each.layout), each.first);
    serving[0] = false;
    EXPECT_EQ(describe(plan_placement(each.layout, first, serving), each.layout), each.without);
  }
}

// Checksums over the descriptions of forty plans each, while nodes come and go.
constexpr uint64_t golden_histories[] = {
    0xf26ddd4c5e4e27d9, 0x226aeba1a76bcf9a, 0x519cf332b43d448f, 0x64d27682d80b92d3,
    0x7215ce58c4e145c3, 0xb113add2660f4da6, 0xa252d7ea7da7d80f, 0xf245a0f365876606,
    0x0272d11120b4a9f7, 0x3d57824172a07bb3, 0x516d1e7ca25a587d, 0x85b2f35a27abeb67,
    0xb63554babcd06b3d, 0xded314650d0bcca7, 0x547a325c17788f8e, 0xb59e4f13f08e7f3f,
    0x76d1fae9bad70d7e, 0x58992834d6a609cf, 0x82f5df0c126e44fe, 0xe20355227a1ae1ec,
    0x1a414ddad529bab2, 0xa1225a3ff718988f, 0xcbd5437f1035b61d, 0xae240c8050ea3ffc,
    0x40121d90b47cb6ae, 0xf332c93c6df8bce6, 0x9343232ade771bd4, 0x84bc336e6cba9383,
    0x25d0fcfa5e8d277a, 0xd209460b3380b37c, 0xb9aea793cac46610, 0x1a414ddad529bab2,
    0xf9273f5b4090f7a6, 0xf93c41c317d6250b, 0x51ea67219899c7a0, 0xff64b29c7c5f700d,
    0x25beadaa8ec09744, 0x2490ee9c520b6142, 0x68226e49482cf5de, 0x04ba82d6770318ba,
};

TEST(placement_golden_test, any_coming_and_going_gives_the_plans_of_before) {
  for (uint64_t seed = 0; seed < std::size(golden_histories); ++seed) {
    const random_key key{seed, random_subsystem::faults, 7};
    uint64_t draws = 0;
    const auto below = [&](uint64_t bound) { return random_below(key, draws++, bound); };
    const uint64_t nodes = 1 + below(8);
    const auto layers = static_cast<uint32_t>(1 + below(12));
    const auto stages = static_cast<uint32_t>(1 + below(layers));
    const auto experts = static_cast<uint32_t>(below(24));
    const auto shards = static_cast<uint32_t>(experts == 0 ? 1 : 1 + below(experts));
    const auto layout =
        layout_of(nodes, layers, stages, experts, shards, static_cast<uint32_t>(1 + below(3)));
    std::vector<bool> serving(layout.nodes.size(), false);
    placement plan;
    std::string all;
    for (int step = 0; step < 40; ++step) {
      const size_t node = below(serving.size());
      serving[node] = !serving[node];
      plan = plan_placement(layout, plan, serving);
      all += describe(plan, layout) + '\n';
    }
    EXPECT_EQ(schemas::checksum_of(std::as_bytes(std::span(all))), golden_histories[seed]) << seed;
  }
}

} // namespace
} // namespace troupe::dataflow
