// The strategies: names, orders, fairness, and how soon they find a planted ordering bug.
#include "simulations/kernel/strategy.hpp"

#include "tests/unit/simulations_kernel/kernel_actors.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace troupe::simulations {
namespace {

// Three walkers on two machines tell one recorder.
std::vector<int> order_of(uint64_t seed, strategy_kind kind) {
  world w({.seed = seed, .machines = 2, .strategy = using_strategy(kind, 20), .tail_events = 0});
  std::vector<int> marks;
  auto recorder = spawn_recorder(w.at(0).boot(), marks);
  w.at(1).boot();
  for (int i = 0; i < 3; ++i)
    spawn_walker(w.at(static_cast<uint32_t>(i % 2)).system(), recorder, i, 4);
  EXPECT_TRUE(w.run(never, 1000, {}));
  EXPECT_EQ(marks.size(), 12u);
  return marks;
}

size_t orders_of(strategy_kind kind) {
  std::set<std::vector<int>> seen;
  for (uint64_t seed = 1; seed <= 200; ++seed) seen.insert(order_of(seed, kind));
  return seen.size();
}

TEST(strategy_test, names_and_kinds_belong_together) {
  for (const auto kind : {strategy_kind::fifo, strategy_kind::random, strategy_kind::pct,
                          strategy_kind::delay, strategy_kind::overlap, strategy_kind::portfolio})
    EXPECT_EQ(parse_strategy(to_string(kind)).value(), kind);
  const auto wrong = parse_strategy("rando");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_NE(wrong.error().why().find("did you mean 'random'"), std::string::npos);
}

TEST(strategy_test, a_portfolio_has_all_kinds_and_keeps_to_its_seed) {
  std::map<strategy_kind, int> seen;
  for (uint64_t seed = 0; seed < 1000; ++seed) ++seen[resolve(strategy_kind::portfolio, seed)];
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(seen.count(strategy_kind::portfolio), 0u);
  EXPECT_GT(seen[strategy_kind::pct], 200);
  EXPECT_GT(seen[strategy_kind::overlap], 100);
  EXPECT_EQ(resolve(strategy_kind::portfolio, 5), resolve(strategy_kind::portfolio, 5));
  EXPECT_EQ(resolve(strategy_kind::fifo, 5), strategy_kind::fifo);
}

TEST(strategy_test, the_same_seed_gives_the_same_order) {
  for (const auto kind : {strategy_kind::fifo, strategy_kind::random, strategy_kind::pct,
                          strategy_kind::delay, strategy_kind::overlap, strategy_kind::portfolio})
    for (uint64_t seed = 1; seed < 20; ++seed)
      EXPECT_EQ(order_of(seed, kind), order_of(seed, kind));
}

TEST(strategy_test, fifo_knows_one_order_and_the_others_many) {
  EXPECT_EQ(orders_of(strategy_kind::fifo), 1u);
  EXPECT_GT(orders_of(strategy_kind::random), 150u);
  EXPECT_GT(orders_of(strategy_kind::pct), 20u);
  EXPECT_GT(orders_of(strategy_kind::delay), 20u);
}

// The bug: everything a walker of `depth` steps does comes before a single message of another actor
// that was ready first.
bool finds_the_bug(uint64_t seed, strategy_kind kind, int depth) {
  world w({.seed = seed, .machines = 1, .strategy = using_strategy(kind, 100), .tail_events = 0});
  std::vector<int> marks;
  auto recorder = spawn_recorder(w.at(0).boot(), marks);
  for (int i = 1; i <= 2; ++i) spawn_walker(w.at(0).system(), recorder, i, 1);
  spawn_walker(w.at(0).system(), recorder, 9, depth);
  w.run(never, 1000, {});
  return std::find(marks.begin(), marks.end(), 1) - marks.begin() >= depth &&
         std::find(marks.begin(), marks.end(), 2) - marks.begin() >= depth;
}

int seeds_that_find(strategy_kind kind, int depth) {
  int found = 0;
  for (uint64_t seed = 1; seed <= 500; ++seed) found += finds_the_bug(seed, kind, depth);
  return found;
}

TEST(strategy_test, priorities_find_a_deep_ordering_bug_where_others_do_not) {
  const int pct = seeds_that_find(strategy_kind::pct, 8);
  const int random = seeds_that_find(strategy_kind::random, 8);
  EXPECT_GT(pct, 50);
  EXPECT_LT(random, 10);
  EXPECT_EQ(seeds_that_find(strategy_kind::fifo, 8), 0);
}

// Whether what a first message causes reaches a third actor before the second message that the same
// handler sends.
bool sees_into_a_handler(uint64_t seed, strategy_kind kind) {
  world w({.seed = seed, .machines = 1, .strategy = using_strategy(kind, 100), .tail_events = 0});
  std::vector<int> marks;
  auto& system = w.at(0).boot();
  auto recorder = spawn_recorder(system, marks);
  auto passer = system.spawn([recorder](caf::event_based_actor* self) -> caf::behavior {
    return {[self, recorder](int mark) { self->send(recorder, mark); }};
  });
  auto teller = system.spawn([recorder, passer](caf::event_based_actor* self) -> caf::behavior {
    return {[self, recorder, passer](int) {
      self->send(passer, 1);
      self->send(recorder, 2);
    }};
  });
  caf::anon_send(teller, 0);
  w.run(never, 1000, {});
  return marks == std::vector<int>{1, 2};
}

TEST(strategy_test, only_overlap_looks_into_the_middle_of_a_handler) {
  for (const auto kind :
       {strategy_kind::fifo, strategy_kind::random, strategy_kind::pct, strategy_kind::delay})
    for (uint64_t seed = 1; seed <= 50; ++seed) EXPECT_FALSE(sees_into_a_handler(seed, kind));
  int found = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed)
    found += sees_into_a_handler(seed, strategy_kind::overlap);
  EXPECT_GT(found, 5);
}

// An actor that never rests must not keep the others, and time, waiting for ever.
TEST(strategy_test, two_actors_that_keep_each_other_busy_starve_nobody) {
  for (const auto kind : {strategy_kind::fifo, strategy_kind::random, strategy_kind::pct,
                          strategy_kind::delay, strategy_kind::overlap})
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      world w({.seed = seed, .machines = 1, .strategy = using_strategy(kind), .tail_events = 0});
      std::vector<int> marks;
      auto recorder = spawn_recorder(w.at(0).boot(), marks);
      for (int i = 0; i < 2; ++i) spawn_walker(w.at(0).system(), caf::actor(), 0, 1'000'000);
      spawn_walker(w.at(0).system(), recorder, 7, 3);
      w.run(never, 10'000, [&] { return marks.size() == 3; });
      EXPECT_EQ(marks.size(), 3u) << to_string(kind) << " seed " << seed;
    }
}

} // namespace
} // namespace troupe::simulations
