// Machines: clocks, pauses, crashes, restarts.
#include "simulations/kernel/world.hpp"

#include "tests/unit/simulations_kernel/kernel_actors.hpp"

#include <gtest/gtest.h>

#include <caf/stateful_actor.hpp>

#include <memory>

namespace troupe::simulations {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr time_point start{duration(1)};

class world_machines_test : public testing::Test {
protected:
  world w{{.seed = 3, .machines = 2, .strategy = using_strategy(strategy_kind::random)}};
  machine& m = w.at(0);
  std::vector<int> marks;
  std::vector<time_point> ticks;
};

TEST_F(world_machines_test, timers_follow_a_clock_that_drifts) {
  m.set_clock({.drift_ppm = 100'000, .wave_ppm = 0, .wave_period = {}, .wall_offset_s = 5});
  spawn_ticker(m.boot(), milliseconds(11), m.local_clock(), ticks);
  std::vector<time_point> seen;
  w.set_observer([&] {
    if (ticks.size() > seen.size()) seen.push_back(w.now());
  });
  w.run(start + milliseconds(50), 1000, {});
  ASSERT_EQ(seen.size(), 5u);
  EXPECT_EQ(seen[0], start + milliseconds(10));
  EXPECT_EQ(ticks[0], start + milliseconds(11));
  EXPECT_EQ(m.local_clock().wall_seconds(), 5);
}

TEST_F(world_machines_test, a_leap_of_the_clock_brings_timers_at_once) {
  spawn_ticker(m.boot(), seconds(10), m.local_clock(), ticks);
  w.run(start + seconds(1), 100, {});
  m.jump_clock(seconds(20));
  w.run(start + seconds(2), 100, {});
  ASSERT_EQ(ticks.size(), 1u);
  EXPECT_EQ(ticks[0], start + seconds(21));
}

TEST_F(world_machines_test, a_paused_machine_does_nothing_and_then_catches_up_in_order) {
  spawn_ticker(m.boot(), milliseconds(10), m.local_clock(), ticks);
  auto recorder = spawn_recorder(m.system(), marks);
  w.run(start + milliseconds(15), 100, {});
  m.pause();
  EXPECT_TRUE(m.paused());
  caf::anon_send(recorder, 1);
  m.after(milliseconds(5), "first", [&] { marks.push_back(2); });
  m.after(milliseconds(6), "second", [&] { marks.push_back(3); });
  w.run(start + milliseconds(100), 100, {});
  EXPECT_EQ(ticks.size(), 1u);
  EXPECT_TRUE(marks.empty());
  m.resume();
  w.run(start + milliseconds(100), 100, {});
  EXPECT_EQ(marks, (std::vector<int>{2, 3, 1}));
  ASSERT_EQ(ticks.size(), 2u);
  EXPECT_EQ(ticks[1], start + milliseconds(100));
}

TEST_F(world_machines_test, messages_that_cost_time_wait_for_one_another) {
  auto recorder = spawn_recorder(m.boot(), marks);
  w.run(never, 100, {});
  m.set_message_cost(microseconds(100));
  for (int i = 0; i < 5; ++i) caf::anon_send(recorder, i);
  w.run(start + microseconds(250), 100, {});
  EXPECT_EQ(marks.size(), 3u); // at 0, 100 and 200
  w.run(never, 100, {});
  EXPECT_EQ(marks, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(w.now(), start + microseconds(500));
}

TEST_F(world_machines_test, a_busy_machine_starves_none_of_its_actors) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    world busy({.seed = seed, .machines = 1, .strategy = using_strategy(strategy_kind::pct)});
    auto& system = busy.at(0).boot();
    busy.at(0).set_message_cost(microseconds(1));
    std::vector<int> seen;
    auto recorder = spawn_recorder(system, seen);
    spawn_walker(system, caf::actor(), 0, 1'000'000);
    spawn_walker(system, caf::actor(), 0, 1'000'000);
    spawn_walker(system, recorder, 7, 3);
    busy.run(never, 10'000, [&] { return seen.size() == 3; });
    EXPECT_EQ(seen.size(), 3u) << seed;
  }
}

TEST_F(world_machines_test, a_crash_takes_messages_timers_and_callbacks_with_it) {
  spawn_ticker(m.boot(), milliseconds(10), m.local_clock(), ticks);
  auto recorder = spawn_recorder(m.system(), marks);
  auto held = std::make_shared<int>(0);
  m.after(milliseconds(30), "never", [held, &marks = marks] { marks.push_back(1); });
  w.run(start + milliseconds(15), 100, {});
  caf::anon_send(recorder, 2);
  recorder = nullptr;
  m.crash();
  EXPECT_FALSE(m.up());
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(m.ended(), start + milliseconds(15));
  w.run(start + seconds(1), 100, {});
  EXPECT_TRUE(marks.empty());
  EXPECT_EQ(ticks.size(), 1u);
  m.boot();
  EXPECT_EQ(m.incarnation(), 2u);
}

TEST_F(world_machines_test, a_crash_while_paused_leaves_a_machine_that_can_start_again) {
  m.boot();
  m.pause();
  m.after(duration(0), "held", [&] { marks.push_back(1); });
  m.arrive(w.now(), "outside", [&] { marks.push_back(m.up() ? 2 : 3); });
  w.run(start, 100, {});
  EXPECT_TRUE(marks.empty());
  m.crash();
  w.run(start, 100, {});
  EXPECT_EQ(marks, (std::vector<int>{3}));
  caf::anon_send(spawn_recorder(m.boot(), marks), 4);
  w.run(never, 100, {});
  EXPECT_EQ(marks.back(), 4);
}

// Two actors that hold handles of each other, in their state and in their handlers, requests that
// nobody answers, timers, and unread messages: all of it must go.
struct knot_state {
  caf::actor other;
  std::vector<char> memory = std::vector<char>(10'000);
};

caf::behavior knot(caf::stateful_actor<knot_state>* self, int depth, caf::actor given) {
  caf::actor friendly = given ? given : self->spawn(knot, depth, caf::actor_cast<caf::actor>(self));
  self->state.other = friendly;
  self->delayed_send(self, std::chrono::seconds(1), depth);
  self->delayed_send(friendly, std::chrono::milliseconds(1), depth);
  self->monitor(friendly);
  self->request(friendly, std::chrono::seconds(5), std::string("?"))
      .then([](int) {}, [](caf::error&) {});
  return {[self, friendly](int n) {
            self->send(friendly, n + 1);
            self->become([self, friendly](int m) { self->send(friendly, m - 1); },
                         [self](const std::string&) { return self->make_response_promise(); });
          },
          [self](const std::string&) { return self->make_response_promise(); }};
}

TEST_F(world_machines_test, survives_a_thousand_crashes_without_a_leak) {
  for (int i = 0; i < 1000; ++i) {
    auto& system = m.boot();
    for (int k = 0; k < 3; ++k) system.spawn(knot, k, caf::actor());
    m.after(milliseconds(1), "x", [this] { marks.push_back(1); });
    w.run(w.now() + microseconds(100 * (i % 30)), static_cast<uint64_t>(i % 60), {});
    m.crash();
  }
  EXPECT_EQ(m.incarnation(), 1000u);
}

TEST_F(world_machines_test, a_handle_may_outlive_the_crash) {
  auto recorder = spawn_recorder(m.boot(), marks);
  w.run(never, 100, {});
  m.crash();
  caf::anon_send(recorder, 1); // to nobody
  recorder = nullptr;
  m.boot();
  EXPECT_TRUE(w.run(never, 100, {}));
  EXPECT_TRUE(marks.empty());
}

TEST_F(world_machines_test, many_short_lived_actors_leave_nothing_behind) {
  auto& system = m.boot();
  for (int i = 0; i < 10'000; ++i) {
    system.spawn([](caf::event_based_actor*) {}); // ends at once
    if (i % 100 == 0) w.run(never, 1000, {});
  }
  w.run(never, 100'000, {});
  EXPECT_TRUE(m.mailboxes().empty());
}

TEST_F(world_machines_test, tells_how_many_messages_wait_for_whom) {
  auto recorder = spawn_recorder(m.boot(), marks);
  w.run(never, 100, {});
  for (int i = 0; i < 5; ++i) caf::anon_send(recorder, i);
  const auto waiting = m.mailboxes();
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0].second, 5u);
}

TEST(world_machines_death_test, a_crash_from_inside_a_handler_is_a_bug) {
  world w({.seed = 1, .machines = 1, .strategy = {}});
  w.at(0).boot().spawn([&w](caf::event_based_actor*) { w.at(0).crash(); });
  EXPECT_DEATH(w.run(never, 10, {}), "handling");
}

} // namespace
} // namespace troupe::simulations
