// Every judge of the membership invariants is silent on a right history and speaks up on each wrong
// one.
#include "simulations/checkers/membership.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>

namespace troupe::simulations {
namespace {

using dataflow::role;
using dataflow::role_kind;
using std::chrono::milliseconds;
using std::chrono::seconds;

time_point at(int64_t ms) {
  return time_point(milliseconds(ms));
}

dataflow::cluster_layout three_nodes() {
  dataflow::cluster_layout out;
  out.nodes = {"n0", "n1", "n2"};
  out.voters = 3;
  return out;
}

// All are in; n0 has the sequencer, n1 the stage, n1 and n2 the shard.
dataflow::cluster_state state_of(uint64_t epoch) {
  dataflow::cluster_state out;
  out.epoch = epoch;
  out.kv_version = 1;
  for (int i = 0; i < 3; ++i)
    out.members.push_back({.incarnation = 1, .present = true, .serving = true});
  out.where = {.sequencer = 0, .stages = {1}, .shards = {{1, 2}}};
  return out;
}

// The same without n2.
dataflow::cluster_state without_last(uint64_t epoch) {
  auto out = state_of(epoch);
  out.members[2].present = out.members[2].serving = false;
  out.where.shards = {{1}};
  return out;
}

class membership_test : public testing::Test {
protected:
  void begin(const membership_limits& limits = {}) {
    made.emplace(three_nodes(), dataflow::cluster_timing{}, limits);
    for (uint32_t node = 0; node < 3; ++node) made->started(node, 1, at(0));
  }
  void all_learn(const dataflow::cluster_state& state, int64_t ms) {
    for (uint32_t node = 0; node < 3; ++node)
      if (state.members[node].present) made->learned(node, 1, state, at(ms));
  }
  void all_ready(const dataflow::cluster_state& state, int64_t ms) {
    for (uint32_t node = 0; node < 3; ++node)
      if (state.members[node].present) made->ready(node, 1, state.epoch, at(ms));
  }
  // Up to a working epoch.
  void enter(const dataflow::cluster_state& state, int64_t ms) {
    all_learn(state, ms);
    all_ready(state, ms + 1);
    made->go(0, 1, state.epoch, at(ms + 2));
  }
  // All violations so far as "M1 what", one a line.
  std::string found() {
    std::string out;
    for (const auto& one : made->violations()) out += one.invariant + " " + one.what + "\n";
    return out;
  }
  membership_checker& history() { return *made; }

  std::optional<membership_checker> made;
};

TEST_F(membership_test, is_silent_about_a_right_history) {
  begin();
  enter(state_of(1), 10);
  const role stage{role_kind::attention_stage, 0}, shard{role_kind::expert_shard, 0};
  history().work_done(0, 1, 1, {role_kind::sequencer, 0}, 1, at(20));
  history().work_done(1, 1, 1, stage, 1, at(20));
  history().work_done(2, 1, 1, shard, 1, at(20));
  history().crashed(2, at(30));
  enter(without_last(2), 700);
  history().work_done(1, 1, 2, stage, 2, at(710));
  history().started(2, 2, at(2000));
  auto third = state_of(3);
  third.members[2].incarnation = 2;
  history().learned(0, 1, third, at(2500));
  history().learned(1, 1, third, at(2500));
  history().learned(2, 2, third, at(2501));
  for (uint32_t node = 0; node < 3; ++node) history().ready(node, node == 2 ? 2 : 1, 3, at(2510));
  history().go(0, 1, 3, at(2520));
  history().work_done(2, 2, 3, shard, 3, at(2530));
  history().healed({0, 1, 2}, at(3000));
  history().check(at(100'000));
  EXPECT_EQ(found(), "");
  EXPECT_EQ(history().newest_epoch(), 3u);
  ASSERT_NE(history().state_of(2), nullptr);
  EXPECT_EQ(history().state_of(4), nullptr);
}

TEST_F(membership_test, an_epoch_has_one_state) {
  const struct {
    std::function<void(dataflow::cluster_state&)> change;
    const char* expected;
  } rows[] = {
      {[](auto& s) { s.where.sequencer = 2; }, "sequencer 0 and 2"},
      {[](auto& s) { s.where.sequencer = dataflow::no_node; }, "sequencer 0 and nobody"},
      {[](auto& s) { s.where.stages = {2}; }, "attention_stage/0 at 1 and 2"},
      {[](auto& s) {
         s.where.stages = {1, 2};
       },
       "other numbers of stages or shards"},
      {[](auto& s) {
         s.where.shards = {{2, 1}};
       },
       "other copies of expert_shard/0"},
      {[](auto& s) { s.kv_version = 2; }, "kv_version 1 and 2"},
      {[](auto& s) { s.members[1].incarnation = 9; },
       "node 1 incarnation 1 in serving and incarnation 9 in serving"},
      {[](auto& s) { s.members[1].present = false; },
       "node 1 incarnation 1 in serving and incarnation 1 out serving"},
      {[](auto& s) { s.members.pop_back(); }, "3 and 2 members"},
  };
  for (const auto& row : rows) {
    begin();
    history().learned(0, 1, state_of(4), at(10));
    auto other = state_of(4);
    row.change(other);
    history().learned(1, 1, other, at(11));
    EXPECT_EQ(found(),
              std::string("M1 two states of epoch 4: n0 and n1 learned ") + row.expected + "\n");
  }
}

TEST_F(membership_test, a_state_gives_roles_to_serving_members_only) {
  const struct {
    std::function<void(dataflow::cluster_state&)> change;
    const char* expected;
  } rows[] = {
      {[](auto& s) { s.members[0].serving = false; }, "sequencer is at 0, which is not serving"},
      {[](auto& s) { s.where.stages = {7}; }, "attention_stage/0 is at 7, which is not serving"},
      {[](auto& s) { s.members[2].present = false; },
       "expert_shard/0 is at 2, which is not serving"},
      {[](auto& s) { s.members.pop_back(); }, "2 members, expected 3"},
  };
  for (const auto& row : rows) {
    begin();
    auto state = state_of(4);
    row.change(state);
    history().learned(0, 1, state, at(10));
    EXPECT_EQ(found(), std::string("M1 epoch 4: ") + row.expected + "\n");
  }
}

TEST_F(membership_test, a_cluster_in_which_nobody_serves_has_no_placement) {
  begin();
  auto state = state_of(4);
  for (auto& one : state.members) one.serving = false;
  state.where = {};
  history().learned(0, 1, state, at(10));
  EXPECT_EQ(found(), "");
}

TEST_F(membership_test, no_process_goes_back_in_epochs) {
  begin();
  history().learned(0, 1, state_of(1), at(9));
  history().learned(1, 1, state_of(2), at(10));
  history().learned(1, 1, state_of(1), at(11));
  EXPECT_EQ(found(), "M1 n1 goes back from epoch 2 to epoch 1\n");
}

TEST_F(membership_test, a_later_start_may_learn_an_older_epoch_first) {
  begin();
  history().learned(0, 1, state_of(1), at(9));
  history().learned(1, 1, state_of(2), at(10));
  history().crashed(1, at(11));
  history().started(1, 2, at(12));
  history().learned(1, 2, state_of(1), at(13));
  EXPECT_EQ(found(), "");
}

TEST_F(membership_test, what_epochs_count_does_not_go_back) {
  begin();
  auto second = state_of(2);
  second.kv_version = 0;
  second.members[1].incarnation = 0;
  history().learned(0, 1, state_of(1), at(9));
  history().learned(0, 1, second, at(10));
  EXPECT_EQ(found(),
            "M1 kv_version goes back from 1 in epoch 1 to 0 in epoch 2\n"
            "M1 n1 goes back from incarnation 1 in epoch 1 to 0 in epoch 2\n");
}

TEST_F(membership_test, epochs_learned_out_of_order_are_compared_too) {
  begin();
  auto second = state_of(2);
  second.kv_version = 7;
  history().learned(0, 1, state_of(3), at(9)); // kv_version 1
  history().learned(1, 1, second, at(10));
  EXPECT_EQ(found(), "M1 kv_version goes back from 7 in epoch 2 to 1 in epoch 3\n");
}

TEST_F(membership_test, what_ended_does_nothing) {
  begin();
  enter(state_of(1), 10);
  history().crashed(1, at(20));
  history().work_done(1, 1, 1, {role_kind::attention_stage, 0}, 5, at(21));
  EXPECT_EQ(found(),
            "M1 n1 incarnation 1 works as attention_stage/0 on step 5 of epoch 1 "
            "although it is down\n");
  history().started(1, 2, at(30));
  history().ready(1, 1, 1, at(31));
  EXPECT_NE(found().find("M1 n1 incarnation 1 is ready for epoch 1 although incarnation 2 runs"),
            std::string::npos);
}

TEST_F(membership_test, every_start_is_a_new_incarnation) {
  begin();
  history().crashed(1, at(1));
  history().started(1, 1, at(2));
  EXPECT_EQ(found(), "M1 n1 starts as incarnation 1, it was 1\n");
}

TEST_F(membership_test, only_hosts_work_and_only_in_their_time) {
  const role stage{role_kind::attention_stage, 0}, sequencer{role_kind::sequencer, 0};
  const role router{role_kind::gating_router, 0}, manager{role_kind::kv_cache_manager, 0};
  const role shard{role_kind::expert_shard, 0};
  const struct {
    const char* what;
    uint32_t node;
    role who;
    bool right;
  } rows[] = {
      {"the sequencer", 0, sequencer, true},
      {"another sequencer", 1, sequencer, false},
      {"its manager", 0, manager, true},
      {"another manager", 2, manager, false},
      {"the stage", 1, stage, true},
      {"another stage", 0, stage, false},
      {"its router", 1, router, true},
      {"another router", 2, router, false},
      {"a copy", 1, shard, true},
      {"another copy", 2, shard, true},
      {"no copy", 0, shard, false},
      {"no shard", 1, {role_kind::expert_shard, 1}, false},
      {"no stage", 1, {role_kind::attention_stage, 1}, false},
      {"a door", 2, {role_kind::ingress, 0}, true},
  };
  for (const auto& row : rows) {
    begin();
    enter(state_of(1), 10);
    history().work_done(row.node, 1, 1, row.who, 3, at(20));
    EXPECT_EQ(found().empty(), row.right) << row.what << ": " << found();
  }
}

TEST_F(membership_test, work_stays_within_its_epoch) {
  const role stage{role_kind::attention_stage, 0};
  begin();
  history().work_done(1, 1, 8, stage, 3, at(5));
  EXPECT_EQ(found(),
            "M1 n1 works as attention_stage/0 on step 3 of epoch 8, which nobody learned\n");
  begin();
  all_learn(state_of(1), 10);
  history().work_done(1, 1, 1, stage, 3, at(20));
  EXPECT_EQ(found(),
            "M1 n1 works as attention_stage/0 on step 3 of epoch 1 before everybody was ready\n");
  begin();
  enter(state_of(1), 10);
  all_learn(state_of(2), 20);
  history().work_done(1, 1, 1, stage, 3, at(21)); // what was under way ends
  EXPECT_EQ(found(), "");
  history().ready(1, 1, 2, at(22));
  history().work_done(1, 1, 1, stage, 4, at(23));
  EXPECT_EQ(found(),
            "M1 n1 works as attention_stage/0 on step 4 of epoch 1 after it was ready for "
            "epoch 2\n");
}

TEST_F(membership_test, a_new_process_does_not_work_under_the_old_ones_name) {
  begin();
  enter(state_of(1), 10);
  history().crashed(1, at(20));
  history().started(1, 2, at(30));
  history().learned(1, 2, state_of(1), at(31));
  history().work_done(1, 2, 1, {role_kind::attention_stage, 0}, 4, at(40));
  EXPECT_EQ(found(),
            "M1 n1 incarnation 2 works as attention_stage/0 on step 4 of epoch 1, which "
            "names incarnation 1\n");
}

TEST_F(membership_test, an_epoch_starts_when_all_its_members_are_ready) {
  begin();
  all_learn(state_of(1), 10);
  history().ready(0, 1, 1, at(11));
  history().ready(1, 1, 1, at(11));
  history().go(0, 1, 1, at(12));
  EXPECT_EQ(found(), "M1 n0 starts epoch 1 before n2 incarnation 1 is ready\n");
  begin();
  enter(without_last(1), 10); // n2 need not be
  EXPECT_EQ(found(), "");
  history().go(0, 1, 5, at(20));
  EXPECT_EQ(found(), "M1 n0 starts epoch 5, which nobody learned\n");
}

TEST_F(membership_test, nobody_is_ready_for_what_it_does_not_know) {
  begin();
  history().learned(0, 1, state_of(1), at(10));
  history().ready(1, 1, 1, at(11));
  EXPECT_EQ(found(), "M1 n1 is ready for epoch 1, it knows epoch 0\n");
  begin();
  all_learn(state_of(1), 10);
  all_learn(state_of(2), 11);
  history().ready(1, 1, 2, at(12));
  history().ready(1, 1, 1, at(13));
  EXPECT_EQ(found(), "M1 n1 is ready for epoch 1 after epoch 2\n");
}

TEST_F(membership_test, a_crash_is_noticed_in_time) {
  begin({.detection_max = seconds(2)});
  all_learn(state_of(1), 10);
  history().crashed(2, at(1000));
  history().check(at(3000));
  EXPECT_EQ(found(), "");
  history().check(at(3001));
  EXPECT_EQ(found(),
            "M2 n2 crashed 2001 ms ago and is still in epoch 1, bound 2000 ms after the "
            "last disturbance\n");
  history().check(at(9000));
  EXPECT_EQ(history().violations().size(), 1u); // told once
}

TEST_F(membership_test, a_crash_need_not_be_noticed_where_nobody_can_or_need_not_any_more) {
  const struct {
    const char* what;
    std::function<void(membership_checker&)> happens;
  } rows[] = {
      {"excluded", [](auto& h) { h.learned(0, 1, without_last(2), at(1800)); }},
      {"no majority", [](auto& h) { h.majority(false, at(1500)); }},
      {"back again", [](auto& h) { h.started(2, 2, at(1500)); }},
      {"another crash meanwhile", [](auto& h) { h.crashed(1, at(2500)); }},
      {"a pause meanwhile", [](auto& h) { h.paused(1, at(2500)); }},
      {"a partition meanwhile", [](auto& h) { h.disturbed(at(2500)); }},
  };
  for (const auto& row : rows) {
    begin({.detection_max = seconds(2)});
    all_learn(state_of(1), 10);
    history().crashed(2, at(1000));
    row.happens(history());
    history().check(at(4400));
    EXPECT_EQ(found(), "") << row.what;
  }
}

TEST_F(membership_test, with_the_majority_back_a_crash_is_noticed_after_all) {
  begin({.detection_max = seconds(2)});
  all_learn(state_of(1), 10);
  history().majority(false, at(900));
  history().crashed(2, at(1000));
  history().majority(true, at(5000));
  history().check(at(7000));
  EXPECT_EQ(found(), "");
  history().check(at(7001));
  EXPECT_EQ(history().violations().size(), 1u);
}

TEST_F(membership_test, nobody_is_suspected_or_excluded_for_nothing) {
  begin({.fault_free = true});
  all_learn(state_of(1), 10);
  history().suspected(0, 2, at(20));
  history().learned(0, 1, without_last(2), at(30));
  EXPECT_EQ(found(),
            "M2 n0 suspects n2 although nothing is wrong\n"
            "M2 epoch 2 excludes n2 although nothing is wrong\n");
  begin();
  all_learn(state_of(1), 10);
  history().suspected(0, 2, at(20));
  history().learned(0, 1, without_last(2), at(30));
  EXPECT_EQ(found(), "");
}

TEST_F(membership_test, after_a_heal_everybody_learns_the_newest_epoch) {
  begin({.converge_max = seconds(2)});
  all_learn(state_of(1), 10);
  history().disturbed(at(15));
  history().learned(0, 1, state_of(2), at(20));
  history().check(at(90'000));
  EXPECT_EQ(found(), ""); // not healed yet
  history().healed({0, 1}, at(100'000));
  history().check(at(102'000));
  EXPECT_EQ(found(), "");
  history().check(at(102'001));
  EXPECT_EQ(found(),
            "M3 n1 knows epoch 1, expected 2, which n0 learned 101981 ms ago; bound 2000 "
            "ms\n"); // n2 is not in the core
  history().check(at(103'000));
  EXPECT_EQ(history().violations().size(), 1u);
}

TEST_F(membership_test, who_is_down_paused_or_new_need_not_know_yet) {
  begin({.detection_max = seconds(500), .converge_max = seconds(2)});
  all_learn(state_of(1), 10);
  history().learned(0, 1, state_of(2), at(20));
  history().healed({0, 1, 2}, at(100));
  history().crashed(1, at(200));
  history().paused(2, at(200));
  history().check(at(60'000));
  EXPECT_EQ(found(), "");
  history().started(1, 2, at(70'000));
  history().check(at(72'000));
  EXPECT_EQ(found(), "");
  history().check(at(72'001));
  EXPECT_EQ(history().violations().size(), 1u);
}

TEST_F(membership_test, a_node_does_not_flap) {
  begin({.exclusions_max = 3, .exclusions_window = seconds(10)});
  uint64_t epoch = 0;
  for (int i = 0; i < 4; ++i) {
    history().learned(0, 1, state_of(++epoch), at(1000 * i));
    history().learned(0, 1, without_last(++epoch), at(1000 * i + 500));
    EXPECT_EQ(history().violations().empty(), i < 3);
  }
  EXPECT_EQ(found(), "M4 n2 was excluded 4 times within 10 s, bound 3\n");
}

TEST_F(membership_test, exclusions_far_apart_or_of_crashed_processes_are_no_flapping) {
  begin({.exclusions_max = 3, .exclusions_window = seconds(10)});
  uint64_t epoch = 0;
  for (int i = 0; i < 8; ++i) {
    history().learned(0, 1, state_of(++epoch), at(5000 * i));
    history().learned(0, 1, without_last(++epoch), at(5000 * i + 500));
  }
  EXPECT_EQ(found(), "");
  for (int i = 0; i < 8; ++i) {
    history().learned(0, 1, state_of(++epoch), at(50'000 + 100 * i));
    history().crashed(2, at(50'000 + 100 * i + 10));
    history().learned(0, 1, without_last(++epoch), at(50'000 + 100 * i + 50));
  }
  EXPECT_EQ(found(), "");
}

TEST_F(membership_test, after_a_heal_the_epochs_come_to_rest) {
  begin({.epochs_after_heal_max = 5});
  history().healed({0, 1, 2}, at(10));
  for (uint64_t epoch = 1; epoch <= 5; ++epoch) history().learned(0, 1, state_of(epoch), at(20));
  EXPECT_EQ(found(), "");
  for (uint64_t epoch = 6; epoch <= 9; ++epoch) history().learned(0, 1, state_of(epoch), at(20));
  EXPECT_EQ(found(), "M4 6 epochs since everything was healed, bound 5\n");
}

TEST_F(membership_test, parts_are_restarted_within_limits_or_given_up) {
  const role stage{role_kind::attention_stage, 0};
  begin({.restarts = {.restarts_max = 2, .window = seconds(10)}});
  for (int i = 0; i < 2; ++i) history().part_restarted(1, stage, at(i));
  history().part_restarted(2, stage, at(3));                        // another node's
  history().part_restarted(1, {role_kind::expert_shard, 0}, at(3)); // another part
  history().part_restarted(1, stage, at(11'000));                   // much later
  EXPECT_EQ(found(), "");
  history().part_escalated(1, stage, at(11'100));
  for (int i = 0; i < 2; ++i) history().part_restarted(1, stage, at(11'200 + i));
  EXPECT_EQ(found(), "");
  history().part_restarted(1, stage, at(11'300));
  EXPECT_EQ(found(),
            "M5 n1 attention_stage/0 was restarted 3 times within 10 s, bound 2, and "
            "nobody escalated\n");
}

TEST_F(membership_test, a_new_process_has_new_restarts) {
  const role stage{role_kind::attention_stage, 0};
  begin({.restarts = {.restarts_max = 2, .window = seconds(10)}});
  for (int i = 0; i < 2; ++i) history().part_restarted(1, stage, at(i));
  history().crashed(1, at(10));
  history().started(1, 2, at(20));
  for (int i = 0; i < 2; ++i) history().part_restarted(1, stage, at(30 + i));
  EXPECT_EQ(found(), "");
}

TEST_F(membership_test, what_is_stuck_is_named) {
  begin();
  all_learn(state_of(4), 10);
  history().check_stuck({}, at(20));
  EXPECT_EQ(found(), "");
  history().check_stuck({{.what = "client 3 waits at door 1", .node = 1, .epoch = 4, .step = 17}},
                        at(20));
  EXPECT_EQ(found(),
            "M6 client 3 waits at door 1; stuck at n1, epoch 4, step 17; newest epoch 4\n");
  begin();
  history().check_stuck(std::vector<stuck_work>(9, {.what = "x"}), at(20));
  EXPECT_EQ(history().violations().size(), 5u);
  EXPECT_EQ(history().violations().back().what, "x; newest epoch 0; and 4 more");
}

TEST_F(membership_test, nothing_grows_with_crashes) {
  begin();
  const leak_sample base{.actors = 40, .heap_events = 12, .frames = 3, .pages_used = 0};
  history().check_leaks(base, {40, 14, 5, 2}, 2, at(9));
  EXPECT_EQ(found(), "");
  history().check_leaks(base, {43, 15, 6, 3}, 2, at(9));
  EXPECT_EQ(found(),
            "M7 43 actors after the crashes, 40 before, allowed 2 more\n"
            "M7 15 events in the heap after the crashes, 12 before, allowed 2 more\n"
            "M7 6 frames after the crashes, 3 before, allowed 2 more\n"
            "M7 3 pages used after the crashes, 0 before, allowed 2 more\n");
}

TEST(membership_bounds, follow_from_the_timing) {
  const dataflow::cluster_timing timing;
  EXPECT_LT(calm_detection_bound(timing), detection_bound(timing));
  EXPECT_GT(calm_detection_bound(timing), timing.pause_allowed + 10 * timing.report_every);
  EXPECT_GT(detection_bound(timing), timing.silence_max);
  EXPECT_GT(convergence_bound(timing), detection_bound(timing));
}

} // namespace
} // namespace troupe::simulations
