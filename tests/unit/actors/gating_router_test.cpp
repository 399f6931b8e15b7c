// The router with shards on other nodes that the test plays: who is asked, who is asked next, and
// whose answer counts.
#include "actors/gating_router.hpp"

#include "actors/carriage.hpp"
#include "actors/routes.hpp"
#include "model/weights.hpp"
#include "tests/unit/actors/actor_test.hpp"
#include "tests/unit/actors/small_node.hpp"

namespace troupe::actors {
namespace {

constexpr uint32_t rows = 3;
constexpr duration patience = std::chrono::milliseconds(400);

class gating_router_test : public tests::actor_test {
protected:
  gating_router_test() {
    layout.nodes = {"a", "b"};
    layout.stages = 1;
    layout.shards = 2;
    tests::prepare_small_node(state, device, time, trace, layout);
    const auto& description = *state.resources.bundle->description;
    while (!description.layers.at(layer).is_moe()) ++layer;
    auto& frame = state.steps->at(0);
    frame.ids = {1, 2, 3};
    for (uint32_t i = 0; i < rows; ++i)
      for (uint32_t c = 0; c < frame.buffers.normed.cols; ++c)
        frame.buffers.normed.row(i)[c] = static_cast<float>((i * 7 + c * 3) % 11) - 5;
    it = own(spawn_gating_router(system_, {.stage = 0,
                                           .description = &description,
                                           .weights = state.resources.bundle->weights.get(),
                                           .executor = &device,
                                           .steps = state.steps.get(),
                                           .board = state.board.get(),
                                           .time = &time,
                                           .trace = &trace,
                                           .reroute_after = patience,
                                           .shard_copies = 2}));
    wire_to(1);
  }

  // Every shard has two copies on other nodes.
  void wire_to(uint64_t epoch, uint32_t copies = 2) {
    route_table routes;
    routes.members.resize(2);
    routes.sequencer = {to_sequencer.as<sequencer>(), 0, false};
    routes.stages = {{to_stage.as<attention_stage>(), 0, false}};
    routes.routers = {it};
    for (uint32_t i = 0; i < 2; ++i) {
      auto& of = routes.shards.emplace_back();
      for (uint32_t copy = 0; copy < copies; ++copy)
        of.push_back({to_gateway.as<expert_shard>(), 1 + copy, true});
    }
    routes.supervisor = supervisor.as<pipeline_watcher>();
    tell(it, wire{epoch, make_local(std::move(routes)), false});
  }
  void routes(uint64_t step, uint64_t epoch = 1) { tell(it, route_rows{epoch, step, 0, layer}); }

  std::vector<expert_batch> asked() const { return to_gateway.heard<expert_batch>(); }
  // One of those asked answers.
  void answers(const expert_batch& question, float value = 1, int more_rows = 0) {
    const auto& input = question.carried->input;
    auto output = row_block::make(input.rows + static_cast<uint32_t>(more_rows),
                                  state.steps->at(0).buffers.expert_output.cols);
    for (float& each : output.values) each = value;
    tell(it, experts_done{question.epoch, question.step, question.layer, question.stage,
                          question.shard, make_local(std::move(output))});
  }
  size_t combined() const { return to_stage.heard<rows_combined>().size(); }

  dataflow::cluster_layout layout;
  tests::steered_executor device;
  node_state state;
  uint32_t layer = 0;
  tests::recorder to_sequencer = record(), to_stage = record(), to_gateway = record(),
                  supervisor = record();
  gating_router it;
};

TEST_F(gating_router_test, asks_the_first_copies_and_combines_when_all_have_answered) {
  routes(1);
  const auto questions = asked();
  ASSERT_FALSE(questions.empty());
  uint32_t total = 0;
  for (const auto& each : questions) {
    EXPECT_EQ(each.attempt, 0u);
    total += each.carried->input.rows;
    uint32_t counted = 0;
    for (const auto& group : each.carried->experts) counted += group.count;
    EXPECT_EQ(counted, each.carried->input.rows);
  }
  const auto& rule = state.resources.bundle->description->layers[layer].moe.rule;
  EXPECT_EQ(total, rows * rule.top_k);
  for (const auto& each : questions) {
    EXPECT_EQ(combined(), 0u);
    answers(each);
  }
  ASSERT_EQ(combined(), 1u);
  EXPECT_EQ(to_stage.last<rows_combined>().layer, layer);
}

TEST_F(gating_router_test, what_a_shard_answers_is_what_is_combined) {
  const auto& frame = state.steps->at(0);
  const auto hidden = [&] { return frame.hidden_rows().values; };
  routes(1);
  const auto before = hidden();
  const auto questions = asked();
  for (const auto& each : questions) answers(each, 2.5f);
  const auto& output = frame.buffers.expert_output;
  const auto& rule = state.resources.bundle->description->layers[layer].moe.rule;
  for (uint32_t i = 0; i < rows * rule.top_k; ++i)
    for (uint32_t c = 0; c < output.cols; ++c) ASSERT_EQ(output.row(i)[c], 2.5f);
  EXPECT_NE(hidden(), before);
}

TEST_F(gating_router_test, a_silent_copy_is_passed_over_for_the_next) {
  routes(1);
  const auto questions = asked();
  answers(questions[0]);
  advance(patience - std::chrono::milliseconds(1));
  EXPECT_EQ(asked().size(), questions.size());
  advance(std::chrono::milliseconds(1));
  ASSERT_EQ(asked().size(), 2 * questions.size() - 1); // the one that answered is left alone
  for (size_t i = questions.size(); i < asked().size(); ++i) {
    EXPECT_EQ(asked()[i].attempt, 1u);
    EXPECT_NE(asked()[i].shard, questions[0].shard);
    EXPECT_EQ(asked()[i].carried.value, asked()[i - questions.size() + 1].carried.value);
  }
  EXPECT_EQ(trace.count("shard.rerouted"), questions.size() - 1);
  advance(std::chrono::seconds(10)); // there is no third copy
  EXPECT_EQ(asked().size(), 2 * questions.size() - 1);
  for (size_t i = questions.size(); i < asked().size(); ++i) answers(asked()[i]);
  EXPECT_EQ(combined(), 1u);
}

TEST_F(gating_router_test, with_one_copy_there_is_nobody_else_to_ask) {
  wire_to(2, 1);
  routes(1, 2);
  const auto questions = asked().size();
  advance(std::chrono::seconds(10));
  EXPECT_EQ(asked().size(), questions);
}

TEST_F(gating_router_test, answers_that_come_late_or_twice_count_for_nothing) {
  routes(1);
  const auto questions = asked();
  ASSERT_GE(questions.size(), 2u);
  answers(questions[0]);
  answers(questions[0], 9);
  EXPECT_EQ(combined(), 0u);
  for (const auto& each : questions) answers(each);
  EXPECT_EQ(combined(), 1u);
  for (const auto& each : questions) answers(each, 9);
  EXPECT_EQ(combined(), 1u);
  routes(2);
  for (const auto& each : questions) answers(each, 9); // of the step before
  EXPECT_EQ(combined(), 1u);
  wire_to(2);
  routes(2, 2);
  for (const auto& each : questions) answers(each, 9); // of the epoch before
  EXPECT_EQ(combined(), 1u);
}

TEST_F(gating_router_test, copies_of_a_hot_shard_take_turns) {
  wire_to(2, 3);
  std::vector<uint32_t> asked_by_copy(3, 0);
  for (uint64_t step = 1; step <= 6; ++step) {
    const size_t before = asked().size();
    routes(step, 2);
    const auto questions = asked();
    ASSERT_GT(questions.size(), before);
    for (size_t i = before; i < questions.size(); ++i) ++asked_by_copy.at(questions[i].attempt);
    for (size_t i = before; i < questions.size(); ++i) answers(questions[i]);
  }
  EXPECT_EQ(combined(), 6u);
  EXPECT_EQ(asked_by_copy[0], asked_by_copy[1]);
  EXPECT_EQ(asked_by_copy[1], asked_by_copy[2]);
}

TEST_F(gating_router_test, an_answer_of_another_shape_fails_the_step) {
  routes(1);
  answers(asked()[0], 1, 1);
  EXPECT_EQ(to_sequencer.last<step_failed>().step, 1u);
  EXPECT_EQ(to_sequencer.last<step_failed>().code, status_code::corrupt);
  EXPECT_NE(to_sequencer.last<step_failed>().why.find("shape"), std::string::npos);
  EXPECT_EQ(combined(), 0u);
}

TEST_F(gating_router_test, a_lost_device_is_the_nodes_trouble) {
  device.gone = status(status_code::device_lost, "gone");
  routes(1);
  EXPECT_EQ(supervisor.last<device_failed>().why, "gone");
  EXPECT_EQ(to_sequencer.size(), 0u);
  device.gone = status(status_code::exhausted, "too much");
  routes(2);
  EXPECT_EQ(to_sequencer.last<step_failed>().code, status_code::exhausted);
}

} // namespace
} // namespace troupe::actors
