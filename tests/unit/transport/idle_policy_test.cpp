// How the progress thread waits.
#include "transport/ucx/idle_policy.hpp"

#include <gtest/gtest.h>

namespace troupe::transport {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr duration patience = microseconds(100);

struct answers {
  duration looked, yielded, slept; // how soon the peer answers when we do only that
};

// Waits `count` times; how long it waited on average. Whoever loses patience is woken 5 µs later.
duration wait(idle_policy& policy, answers after, int count) {
  duration all{};
  for (int i = 0; i < count; ++i) {
    const auto way = policy.next({});
    duration took = after.slept;
    bool slept = way == idle_act::sleep;
    if (!slept) {
      took = way == idle_act::look ? after.looked : after.yielded;
      slept = way == idle_act::look && took > policy.patience();
      if (slept) took = policy.patience() + microseconds(5);
    }
    policy.came(took, slept);
    all += took;
  }
  return all / count;
}

constexpr answers own_processor{microseconds(6), microseconds(9), microseconds(25)};
constexpr answers same_processor{milliseconds(4), microseconds(10), microseconds(14)};
constexpr answers many_others{milliseconds(4), milliseconds(4), microseconds(30)};

TEST(idle_policy_test, looks_while_the_peer_has_a_processor_of_its_own) {
  idle_policy policy(patience);
  EXPECT_EQ(policy.next({}), idle_act::look);
  EXPECT_LE(wait(policy, own_processor, 400), microseconds(8));
}

TEST(idle_policy_test, yields_to_a_peer_on_the_same_processor) {
  idle_policy policy(patience);
  wait(policy, same_processor, 40);
  EXPECT_LE(wait(policy, same_processor, 400), microseconds(15));
}

TEST(idle_policy_test, sleeps_where_many_others_want_to_run) {
  idle_policy policy(patience);
  wait(policy, many_others, 40);
  EXPECT_LE(wait(policy, many_others, 400), microseconds(70)); // with what exploring costs
}

TEST(idle_policy_test, changes_its_mind_when_the_scheduler_moves_threads) {
  idle_policy policy(patience);
  for (const auto& first : {own_processor, same_processor, many_others}) {
    wait(policy, first, 400);
    wait(policy, own_processor, 9000);
    EXPECT_LE(wait(policy, own_processor, 400), microseconds(8));
    wait(policy, same_processor, 9000);
    EXPECT_LE(wait(policy, same_processor, 400), microseconds(15));
  }
}

TEST(idle_policy_test, sleeps_after_its_patience_and_sooner_when_traffic_is_thin) {
  idle_policy policy(patience);
  EXPECT_NE(policy.next(patience - microseconds(1)), idle_act::sleep);
  EXPECT_EQ(policy.next(patience), idle_act::sleep);
  for (int i = 0; i < 20; ++i) policy.came(milliseconds(5), true);
  EXPECT_EQ(policy.patience(), patience / 8);
  EXPECT_EQ(policy.next(patience / 8), idle_act::sleep);
  policy.came(microseconds(20), true); // it flows again
  EXPECT_EQ(policy.patience(), patience);
}

TEST(idle_policy_test, without_patience_it_always_sleeps) {
  idle_policy policy(duration::zero());
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(policy.next({}), idle_act::sleep);
    policy.came(microseconds(i), true);
  }
}

} // namespace
} // namespace troupe::transport
