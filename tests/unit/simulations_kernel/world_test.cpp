// The loop: time, events, the hash and what is told of a run.
#include "simulations/kernel/world.hpp"

#include "tests/unit/simulations_kernel/kernel_actors.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe::simulations {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr time_point start{duration(1)};

uint64_t hash_of_run(uint64_t seed, strategy_kind kind = strategy_kind::random) {
  world w({.seed = seed, .machines = 3, .strategy = using_strategy(kind)});
  std::vector<int> marks;
  auto recorder = spawn_recorder(w.at(0).boot(), marks);
  w.at(1).boot();
  w.at(2).boot();
  for (int i = 0; i < 6; ++i)
    spawn_walker(w.at(static_cast<uint32_t>(i % 3)).system(), recorder, i, 5);
  w.run(never, 1000, {});
  return w.hash();
}

TEST(world_test, a_seed_stands_for_a_run) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    EXPECT_EQ(hash_of_run(seed), hash_of_run(seed));
    seen.insert(hash_of_run(seed));
  }
  EXPECT_EQ(seen.size(), 100u);
}

// Written down, so that another compiler or machine that computes otherwise is noticed.
TEST(world_test, a_seed_stands_for_the_same_run_everywhere) {
  EXPECT_EQ(hash_of_run(1, strategy_kind::random), 8951302667830910613u);
  EXPECT_EQ(hash_of_run(1, strategy_kind::pct), 8912136364850105632u);
  EXPECT_EQ(hash_of_run(1, strategy_kind::delay), 16432016728258577535u);
  EXPECT_EQ(hash_of_run(3, strategy_kind::overlap), 2860708149318561992u);
}

TEST(world_test, time_jumps_from_event_to_event) {
  world w({.seed = 1, .machines = 1, .strategy = {}});
  std::vector<int64_t> seen;
  for (const int ms : {300, 100, 200})
    w.schedule(start + milliseconds(ms), "mark",
               [&] { seen.push_back(w.now().time_since_epoch().count()); });
  EXPECT_EQ(w.now(), start);
  EXPECT_TRUE(w.run(never, 100, {}));
  EXPECT_EQ(seen, (std::vector<int64_t>{100'000'001, 200'000'001, 300'000'001}));
  EXPECT_EQ(w.events(), 3u);
}

TEST(world_test, does_nothing_beyond_the_bound_of_time) {
  world w({.seed = 1, .machines = 1, .strategy = {}});
  int happened = 0;
  w.schedule(start + seconds(2), "mark", [&] { ++happened; });
  EXPECT_TRUE(w.run(start + seconds(1), 100, {}));
  EXPECT_EQ(happened, 0);
  EXPECT_EQ(w.now(), start + seconds(1));
  EXPECT_TRUE(w.run(start + seconds(2), 100, {}));
  EXPECT_EQ(happened, 1);
  EXPECT_FALSE(w.step(never));
}

TEST(world_test, says_when_the_bound_of_events_was_met) {
  world w({.seed = 1, .machines = 1, .strategy = {}});
  std::function<void()> again = [&] { w.schedule(w.now() + milliseconds(1), "again", again); };
  again();
  EXPECT_FALSE(w.run(never, 50, {}));
  EXPECT_EQ(w.events(), 50u);
  EXPECT_TRUE(w.run(never, 50, [&] { return w.events() == 70; }));
  EXPECT_EQ(w.events(), 70u);
}

TEST(world_test, what_is_due_now_comes_before_the_next_message) {
  world w({.seed = 1, .machines = 1, .strategy = using_strategy(strategy_kind::fifo)});
  std::vector<int> marks;
  auto recorder = spawn_recorder(w.at(0).boot(), marks);
  for (int i = 0; i < 5; ++i) caf::anon_send(recorder, i);
  w.run(never, 100, [&] { return marks.size() == 2; });
  w.schedule(w.now(), "now", [&] { marks.push_back(99); });
  w.run(never, 100, {});
  EXPECT_EQ(marks, (std::vector<int>{0, 1, 99, 2, 3, 4}));
}

TEST(world_test, timers_fire_at_their_virtual_time) {
  world w({.seed = 1, .machines = 2, .strategy = {}});
  std::vector<time_point> fast, slow;
  spawn_ticker(w.at(0).boot(), milliseconds(10), w.at(0).local_clock(), fast);
  spawn_ticker(w.at(1).boot(), milliseconds(25), w.at(1).local_clock(), slow);
  w.run(start + milliseconds(100), 1000, {});
  ASSERT_EQ(fast.size(), 10u);
  ASSERT_EQ(slow.size(), 4u);
  EXPECT_EQ(fast[2], start + milliseconds(30));
  EXPECT_EQ(slow[1], start + milliseconds(50));
}

TEST(world_test, a_cancelled_event_does_not_happen) {
  world w({.seed = 1, .machines = 1, .strategy = {}});
  int happened = 0;
  const auto id = w.schedule(start + seconds(1), "mark", [&] { ++happened; });
  w.cancel(id);
  EXPECT_FALSE(w.step(never));
  EXPECT_EQ(happened, 0);
}

TEST(world_test, draws_of_one_key_do_not_move_those_of_another) {
  world a({.seed = 9, .machines = 1, .strategy = {}}),
      b({.seed = 9, .machines = 1, .strategy = {}});
  for (uint64_t i = 0; i < 10; ++i) a.draw(random_subsystem::faults, 1, i);
  EXPECT_EQ(a.draw(random_subsystem::faults, 2, 3), b.draw(random_subsystem::faults, 2, 3));
  EXPECT_NE(a.draw(random_subsystem::faults, 2, 3), a.draw(random_subsystem::faults, 2, 4));
}

TEST(world_test, notes_change_the_hash_and_stand_in_the_tail) {
  world a({.seed = 1, .machines = 1, .strategy = {}}),
      b({.seed = 1, .machines = 1, .strategy = {}});
  EXPECT_EQ(a.hash(), b.hash());
  a.note(0, "epoch 4");
  b.note(0, "epoch 5");
  EXPECT_NE(a.hash(), b.hash());
  EXPECT_EQ(a.tail().back(), "0.000000001 n0 note epoch 4");
}

TEST(world_test, the_tail_tells_the_last_events) {
  world w({.seed = 1,
           .machines = 1,
           .strategy = using_strategy(strategy_kind::fifo),
           .tail_events = 3});
  std::vector<int> marks;
  auto recorder = spawn_recorder(w.at(0).boot(), marks);
  w.schedule(start + milliseconds(5), "something", [&] { caf::anon_send(recorder, 1); });
  w.run(never, 100, {});
  const auto& lines = w.tail();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1], "0.005000001 world event something");
  EXPECT_NE(lines[2].find("0.005000001 n0 "), std::string::npos);
}

TEST(world_test, logs_the_hash_after_every_event_and_calls_the_observer) {
  world w({.seed = 1, .machines = 1, .strategy = {}, .tail_events = 0, .log_draws = true});
  int observed = 0;
  w.set_observer([&] { ++observed; });
  std::vector<int> marks;
  auto recorder = spawn_recorder(w.at(0).boot(), marks);
  spawn_walker(w.at(0).system(), recorder, 1, 4);
  w.run(never, 100, {});
  EXPECT_EQ(w.draw_log().size(), w.events());
  EXPECT_EQ(w.draw_log().back(), w.hash());
  EXPECT_EQ(static_cast<uint64_t>(observed), w.events());
}

} // namespace
} // namespace troupe::simulations
