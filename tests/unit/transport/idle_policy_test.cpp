// How the progress thread waits.
#include "transport/ucx/idle_policy.hpp"

#include <gtest/gtest.h>

namespace troupe::transport {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr duration patience = microseconds(100);

// A peer that answers `looked` after we began to look, or `yielded` when we yield instead; looking
// too long ends in sleep, which costs 5 µs. Waits `count` times; how long it waited, all in all.
duration wait(idle_policy& policy, duration looked, duration yielded, int count) {
  duration all{};
  for (int i = 0; i < count; ++i) {
    const bool looks = policy.next({}) == idle_act::look;
    const duration waits = looks ? looked : yielded;
    const bool slept = waits > policy.patience();
    const duration took = slept ? policy.patience() + microseconds(5) : waits;
    policy.came(took, slept);
    all += took;
  }
  return all / count;
}

TEST(idle_policy_test, looks_while_the_peer_has_a_processor_of_its_own) {
  idle_policy policy(patience);
  EXPECT_EQ(policy.next({}), idle_act::look);
  EXPECT_LE(wait(policy, microseconds(6), microseconds(40), 400), microseconds(8));
}

TEST(idle_policy_test, yields_to_a_peer_on_the_same_processor) {
  idle_policy policy(patience);
  // Looking, the peer does not run until we sleep.
  wait(policy, milliseconds(4), microseconds(10), 20);
  EXPECT_LE(wait(policy, milliseconds(4), microseconds(10), 400), microseconds(14));
}

TEST(idle_policy_test, changes_its_mind_when_the_scheduler_moves_the_peer) {
  idle_policy policy(patience);
  wait(policy, milliseconds(4), microseconds(10), 400);
  wait(policy, microseconds(6), microseconds(400), 400);
  EXPECT_LE(wait(policy, microseconds(6), microseconds(400), 400), microseconds(30));
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
