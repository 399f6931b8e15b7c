// What counts as a loss, and when it is over.
#include "actors/epoch_watch.hpp"

#include <gtest/gtest.h>

namespace troupe::actors {
namespace {

using schemas::cluster_state;
using schemas::member;

class hand_clock final : public clock {
public:
  time_point now() const override { return at; }
  int64_t wall_seconds() const override { return 1000; }
  time_point at{};
};

class epoch_watch_test : public ::testing::Test {
protected:
  static cluster_state state(uint64_t epoch, std::vector<member> members) {
    cluster_state out;
    out.epoch = epoch;
    out.members = std::move(members);
    out.where.sequencer = 0;
    return out;
  }
  static member up(uint64_t incarnation) { return {incarnation, 0, 0, true, true}; }
  static member down(uint64_t incarnation) { return {incarnation, 0, 0, false, false}; }

  hand_clock time;
  silent_trace nobody;
  int told = 0;
  epoch_watch watch{time, nobody, [this] { ++told; }};
};

TEST_F(epoch_watch_test, an_epoch_serves_when_everybody_was_ready_for_it) {
  watch.learn(state(1, {up(1), up(1)}));
  EXPECT_FALSE(watch.read().begun);
  watch.hit("epoch.go", 1);
  EXPECT_TRUE(watch.read().begun);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(watch.read().recoveries, 0u); // a beginning is none
}

TEST_F(epoch_watch_test, an_older_epoch_that_begins_late_says_nothing) {
  watch.learn(state(1, {up(1)}));
  watch.learn(state(2, {up(1)}));
  watch.hit("epoch.go", 1);
  EXPECT_FALSE(watch.read().begun);
}

TEST_F(epoch_watch_test, an_epoch_in_which_nobody_serves_does_not_serve) {
  auto empty = state(1, {up(1)});
  empty.where.sequencer = schemas::no_node;
  watch.learn(empty);
  watch.hit("epoch.go", 1);
  EXPECT_FALSE(watch.read().begun);
}

TEST_F(epoch_watch_test, a_recovery_lasts_from_the_first_loss_to_the_epoch_that_serves) {
  watch.learn(state(1, {up(1), up(1), up(1)}));
  watch.hit("epoch.go", 1);
  time.at += std::chrono::seconds(5);
  watch.learn(state(2, {up(1), down(1), up(1)}));
  time.at += std::chrono::milliseconds(30);
  watch.learn(state(3, {up(1), down(1), down(1)})); // another one, before it served
  time.at += std::chrono::milliseconds(40);
  watch.hit("epoch.go", 3);
  const auto seen = watch.read();
  EXPECT_EQ(seen.recoveries, 1u);
  ASSERT_TRUE(seen.last.has_value());
  EXPECT_EQ(seen.last->epoch, 3u);
  EXPECT_EQ(seen.last->took, std::chrono::milliseconds(70));
  EXPECT_EQ(seen.last->lost, (std::vector<schemas::node_index>{1, 2}));
}

TEST_F(epoch_watch_test, who_comes_back_is_no_loss) {
  EXPECT_FALSE(loss_between(state(1, {up(1), down(1)}), state(2, {up(1), up(2)})).any);
}

TEST_F(epoch_watch_test, who_left_in_good_order_is_no_loss) {
  auto drained = up(1);
  drained.serving = false;
  EXPECT_FALSE(loss_between(state(1, {up(1), up(1)}), state(2, {up(1), drained})).any);
  EXPECT_FALSE(loss_between(state(2, {up(1), drained}), state(3, {up(1), down(1)})).any);
}

TEST_F(epoch_watch_test, a_restart_is_a_loss_also_when_nobody_was_missed) {
  const auto loss = loss_between(state(1, {up(1), up(1)}), state(2, {up(1), up(2)}));
  EXPECT_TRUE(loss.any);
  EXPECT_EQ(loss.nodes, (std::vector<schemas::node_index>{1}));
}

TEST_F(epoch_watch_test, a_part_that_was_restarted_and_a_step_that_was_stuck_are_losses) {
  auto restarted = up(1);
  restarted.generation = 1;
  EXPECT_TRUE(loss_between(state(1, {up(1)}), state(2, {restarted})).any);
  EXPECT_TRUE(loss_between(state(1, {up(1)}), state(2, {up(1)})).any);
}

TEST_F(epoch_watch_test, a_change_of_places_alone_is_no_loss) {
  auto moved = state(2, {up(1), up(1)});
  moved.where.sequencer = 1;
  EXPECT_FALSE(loss_between(state(1, {up(1), up(1)}), moved).any);
}

TEST_F(epoch_watch_test, a_suspicion_that_came_to_nothing_is_no_part_of_a_recovery) {
  const auto at = [this](int64_t ms) { time.at = time_point{} + std::chrono::milliseconds(ms); };
  watch.learn(state(1, {up(1), up(1), up(1)}));
  watch.hit("epoch.go", 1);
  at(10);
  watch.hit("node.suspected", 2); // and was heard again
  at(20);
  watch.hit("node.suspected", 1); // so was this one, but it was lost an hour later
  at(3'600'000);
  watch.hit("node.suspected", 1);
  watch.learn(state(2, {up(1), down(1), up(1)}));
  watch.hit("epoch.go", 2);
  EXPECT_EQ(watch.read().last.value().suspected, time.at);
}

TEST_F(epoch_watch_test, knows_the_moments_of_a_recovery) {
  const auto at = [this](int64_t ms) { time.at = time_point{} + std::chrono::milliseconds(ms); };
  const auto when = [](int64_t ms) { return time_point{} + std::chrono::milliseconds(ms); };
  watch.learn(state(1, {up(1), up(1)}));
  watch.hit("epoch.go", 1);
  at(10);
  watch.hit("node.suspected", 1);
  at(15);
  watch.hit("node.suspected", 2); // of a node that was not lost
  at(20);
  watch.learn(state(2, {up(1), down(1)}));
  at(25);
  watch.hit("tokens.relayed", traced(1, 1)); // of before
  watch.hit("epoch.ready", 2);
  at(30);
  watch.hit("epoch.go", 2);
  EXPECT_FALSE(watch.read().last->flowing.has_value());
  at(40);
  watch.hit("tokens.relayed", traced(2, 2));
  at(50);
  watch.hit("tokens.relayed", traced(2, 2));
  const auto last = watch.read().last.value();
  EXPECT_EQ(last.suspected, when(10));
  EXPECT_EQ(last.known, when(20));
  EXPECT_EQ(last.ready, when(25));
  EXPECT_EQ(last.served, when(30));
  EXPECT_EQ(last.flowing, when(40));
  EXPECT_EQ(last.took, std::chrono::milliseconds(10));
}

} // namespace
} // namespace troupe::actors
