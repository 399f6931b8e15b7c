// Steps on their way between nodes: what goes out of one frame comes into another.
#include "actors/step_pool.hpp"

#include "tests/unit/actors/small_node.hpp"

namespace troupe::actors {
namespace {

class step_pool_test : public ::testing::Test {
protected:
  step_pool_test() {
    layout.nodes = {"a"};
    layout.stages = 2;
    layout.shards = 2;
    tests::prepare_small_node(state, tests::shared_executor(), time, trace, layout);
    auto& frame = from();
    frame.ids = {7, 8, 9};
    frame.positions = {4, 0, 1};
    frame.sequence_of = {1, 0, 0};
    frame.prompt_lengths = {3, 2, 2};
    frame.slots = {12, 30, 31};
    frame.tables = {{3}, {1, 2}};
    frame.wanted_rows = {0, 2};
    for (uint32_t i = 0; i < 3; ++i)
      for (uint32_t c = 0; c < columns(); ++c)
        frame.buffers.hidden.row(i)[c] = static_cast<float>(100 * i + c);
  }
  step_frame& from() { return state.steps->at(step_pool::sequencer_slot); }
  step_frame& to() { return state.steps->at(state.steps->stage_slot(1)); }
  uint32_t columns() { return from().buffers.hidden.cols; }

  system_clock time;
  silent_trace trace;
  dataflow::cluster_layout layout;
  node_state state;
};

TEST_F(step_pool_test, every_role_has_a_slot_of_its_own) {
  const auto& pool = *state.steps;
  EXPECT_EQ(pool.stage_slot(0), 1u);
  EXPECT_EQ(pool.stage_slot(1), 2u);
  EXPECT_EQ(pool.shard_slot(), 3u);
  EXPECT_NE(from().buffers.hidden.row(0), to().buffers.hidden.row(0));
}

TEST_F(step_pool_test, a_carried_step_arrives_as_it_was) {
  to().draws.resize(5); // left from before
  to().take(from().description(), from().hidden_rows());
  EXPECT_TRUE(to().carried);
  EXPECT_FALSE(from().carried);
  EXPECT_EQ(to().description(), from().description());
  EXPECT_EQ(to().hidden_rows().values, from().hidden_rows().values);
  EXPECT_EQ(to().hidden_rows().rows, 3u);
  EXPECT_TRUE(to().draws.empty());
  const auto& [tokens, positions, slots, sequence_of, prompt_lengths, tables, wanted_rows] =
      to().description();
  EXPECT_EQ(tokens, from().ids);
  EXPECT_EQ(positions, from().positions);
  EXPECT_EQ(slots, from().slots);
  EXPECT_EQ(sequence_of, from().sequence_of);
  EXPECT_EQ(prompt_lengths, from().prompt_lengths);
  EXPECT_EQ(tables, from().tables);
  EXPECT_EQ(wanted_rows, from().wanted_rows);
}

TEST_F(step_pool_test, the_first_stage_takes_a_step_without_rows) {
  to().take(from().description(), {});
  EXPECT_EQ(to().ids, from().ids);
  EXPECT_TRUE(to().carried);
}

TEST_F(step_pool_test, wanted_rows_come_back_to_their_places) {
  to().take(from().description(), from().hidden_rows());
  for (uint32_t i = 0; i < 3; ++i) to().buffers.hidden.row(i)[0] = -1.0f - static_cast<float>(i);
  const auto wanted = to().wanted_hidden();
  EXPECT_EQ(wanted.rows, 2u);
  EXPECT_EQ(wanted.row(0)[0], -1);
  EXPECT_EQ(wanted.row(1)[0], -3);
  from().put_wanted(wanted);
  EXPECT_EQ(from().buffers.hidden.row(0)[0], -1);
  EXPECT_EQ(from().buffers.hidden.row(1)[0], 100); // was not wanted
  EXPECT_EQ(from().buffers.hidden.row(2)[0], -3);
  EXPECT_EQ(from().buffers.hidden.row(2)[1], 201);
}

TEST_F(step_pool_test, a_cleared_frame_is_a_new_one) {
  to().take(from().description(), from().hidden_rows());
  to().clear();
  EXPECT_FALSE(to().carried);
  EXPECT_EQ(to().description(), schemas::step_rows());
  EXPECT_EQ(to().rows().count(), 0u);
}

} // namespace
} // namespace troupe::actors
