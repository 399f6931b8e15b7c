// Three nodes on their real threads in one process: the same text as a node of its own, also when
// one of them is lost in the middle of everything, and when it comes back.
#include "actors/cluster_node.hpp"

#include "actors/node.hpp"
#include "dataflow/placement.hpp"
#include "tests/unit/actors/cluster_process.hpp"
#include "tests/unit/actors/stream_reader.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

namespace troupe::actors {
namespace {

using tests::cluster_process;
using tests::stream_reader;

constexpr uint32_t nodes = 3;
constexpr uint32_t tokens = 40;

dataflow::generation_request ask(uint64_t seed) {
  dataflow::generation_request request;
  request.prompt = tests::built_in_model()->tokenizer->encode("Once upon a time").value();
  request.sampling.temperature = 0.8f;
  request.sampling.seed = seed;
  request.tokens_max = tokens;
  request.ignore_eos = true;
  return request;
}

class cluster_node_test : public ::testing::Test {
protected:
  cluster_node_test() {
    plan.folder = testing::TempDir() + "troupe_cluster_XXXXXX";
    EXPECT_NE(mkdtemp(plan.folder.data()), nullptr);
    plan.layout.nodes = {"a", "b", "c"};
    plan.layout.voters = 3;
    plan.layout.stages = 2;
    plan.layout.shards = 4;
    plan.layout.shard_copies = 2;
    // A busy machine is no broken one.
    plan.timing.pause_allowed = std::chrono::milliseconds(700);
    plan.timing.step_max = std::chrono::seconds(10);
    plan.timing.formation_wait = std::chrono::milliseconds(200);
  }
  ~cluster_node_test() override {
    for (auto& each : processes) each.reset();
    std::filesystem::remove_all(plan.folder);
  }

  void start(uint32_t node) {
    processes[node] = std::make_unique<cluster_process>(network, plan, node, ++incarnations[node]);
  }
  void start_all() {
    for (uint32_t node = 0; node < nodes; ++node) start(node);
    for (auto& each : processes) ASSERT_TRUE(each->wait_for_state(all_in));
  }
  static bool all_in(const schemas::cluster_state& state) {
    return state.members.size() == nodes && state.members[0].serving && state.members[1].serving &&
           state.members[2].serving;
  }

  // Requests 0 to count - 1, one door after the other; the network stands still when all of them
  // are in the middle.
  void open_and_hold(uint32_t count) {
    begun = 0;
    for (uint64_t seed = 0; seed < count; ++seed) {
      readers[seed].at_tokens(5, [this, count] {
        if (begun.fetch_add(1) + 1 == count) network.hold();
      });
      open(static_cast<uint32_t>(seed % nodes), seed);
    }
    for (uint64_t seed = 0; seed < count; ++seed) ASSERT_TRUE(readers[seed].wait_for_tokens(5));
  }

  // The reader of request `seed`, which is asked at `door`.
  stream_reader& open(uint32_t door, uint64_t seed) {
    auto& reader = readers[seed];
    EXPECT_TRUE(processes[door]->node().submit(ask(seed), reader.sink(), {}).has_value());
    return reader;
  }

  static const std::string& expected(uint64_t seed) {
    static std::map<uint64_t, std::string> known;
    if (known.count(seed) == 0) {
      static const system_clock time;
      static const auto lone =
          start_node(tests::built_in_model(), tests::shared_executor(), time, {}).value();
      stream_reader reader;
      EXPECT_TRUE(lone->submit(ask(seed), reader.sink()).has_value());
      EXPECT_TRUE(reader.wait_for_end());
      known[seed] = reader.read().text;
    }
    return known[seed];
  }

  void expect_answer(uint64_t seed) {
    ASSERT_TRUE(readers[seed].wait_for_end()) << "request " << seed;
    const auto heard = readers[seed].read();
    EXPECT_FALSE(heard.failed) << heard.why.why();
    EXPECT_EQ(heard.text, expected(seed)) << "request " << seed;
    EXPECT_EQ(heard.tokens, tokens);
    EXPECT_EQ(heard.reason, dataflow::finish_reason::length);
  }

  // As a client that was cut off goes to another door.
  void expect_rest_at(uint32_t door, uint64_t seed) {
    const auto had = readers[seed].read();
    stream_reader rest;
    engine::received_so_far received = {{had.tokens, had.text.size(), false, false}};
    ASSERT_TRUE(
        processes[door]->node().submit(ask(seed), rest.sink(), std::move(received)).has_value());
    ASSERT_TRUE(rest.wait_for_end());
    EXPECT_EQ(had.text + rest.read().text, expected(seed));
    EXPECT_EQ(had.tokens + rest.read().tokens, tokens);
  }

  tests::cluster_plan plan;
  tests::pumped_network network;
  std::array<uint64_t, nodes> incarnations{};
  std::array<std::unique_ptr<cluster_process>, nodes> processes;
  std::map<uint64_t, stream_reader> readers; // by seed
  std::atomic<uint32_t> begun{0};            // readers that have some tokens
};

TEST_F(cluster_node_test, every_door_answers_as_a_node_of_its_own) {
  start_all();
  for (uint32_t door = 0; door < nodes; ++door) open(door, door);
  for (uint32_t door = 0; door < nodes; ++door) expect_answer(door);
  for (auto& each : processes) EXPECT_EQ(each->node().streams_open(), 0u);
}

TEST_F(cluster_node_test, streams_survive_the_end_of_the_node_with_the_sequencer) {
  start_all();
  open_and_hold(6);
  const uint32_t victim = processes[0]->learned().where.sequencer;
  const uint32_t other = (victim + 1) % nodes;
  processes[victim].reset();
  network.release();
  EXPECT_LT(readers[victim].read().tokens, tokens); // it was in the middle
  for (uint64_t seed = 0; seed < 6; ++seed)
    if (seed % nodes != victim) expect_answer(seed);
  EXPECT_GT(processes[other]->trace.resubmitted.load(), 0u);
  expect_rest_at(other, victim);
  EXPECT_EQ(processes[other]->trace.resumed.load(), 1u);

  start(victim);
  ASSERT_TRUE(processes[victim]->wait_for_state(all_in));
  open(victim, 10);
  open(other, 11);
  expect_answer(10);
  expect_answer(11);
}

TEST_F(cluster_node_test, a_node_that_is_cut_off_goes_on_when_it_is_back) {
  start_all();
  open_and_hold(3);
  network.cut("c");
  network.release();
  ASSERT_TRUE(processes[0]->wait_for_state([](const auto& state) {
    return state.members.size() == nodes && !state.members[2].present;
  }));
  expect_answer(0);
  expect_answer(1);
  network.join("c");
  expect_answer(2);
}

} // namespace
} // namespace troupe::actors
