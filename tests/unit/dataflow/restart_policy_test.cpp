// Restart intensity: so many within a window, growing pauses, then escalation.
#include "dataflow/restart_policy.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

time_point at(duration since_start) {
  return time_point{} + since_start;
}

const restart_limits limits{3, seconds(10), milliseconds(100), milliseconds(350)};

TEST(restart_policy_test, pauses_grow_to_the_maximum_and_then_it_escalates) {
  restart_policy policy(limits);
  for (const auto pause : {milliseconds(100), milliseconds(200), milliseconds(350)}) {
    const auto decision = policy.on_failure(at(seconds(1)));
    EXPECT_FALSE(decision.escalate);
    EXPECT_EQ(decision.pause, pause);
  }
  EXPECT_TRUE(policy.on_failure(at(seconds(1))).escalate);
  EXPECT_EQ(policy.restarts(), 3u);
}

TEST(restart_policy_test, failures_outside_the_window_are_forgotten) {
  restart_policy policy(limits);
  for (int n = 0; n < 3; ++n) EXPECT_FALSE(policy.on_failure(at(seconds(n))).escalate);
  EXPECT_TRUE(policy.on_failure(at(milliseconds(9999))).escalate);
  EXPECT_FALSE(policy.on_failure(at(seconds(10))).escalate); // the one at 0 is out
  EXPECT_TRUE(policy.on_failure(at(seconds(10))).escalate);
  EXPECT_EQ(policy.on_failure(at(seconds(60))).pause, milliseconds(100));
}

TEST(restart_policy_test, slow_failures_never_escalate) {
  restart_policy policy(limits);
  for (int n = 0; n < 1000; ++n) EXPECT_FALSE(policy.on_failure(at(seconds(4) * n)).escalate);
  EXPECT_EQ(policy.restarts(), 1000u);
}

TEST(restart_policy_test, zero_restarts_escalate_at_once) {
  restart_policy policy({0, seconds(1), milliseconds(1), milliseconds(1)});
  EXPECT_TRUE(policy.on_failure(at(seconds(0))).escalate);
}

TEST(restart_policy_test, refuses_limits_that_make_no_sense) {
  EXPECT_TRUE(validate(limits).ok());
  EXPECT_FALSE(validate(restart_limits{3, seconds(0), seconds(1), seconds(1)}).ok());
  EXPECT_FALSE(validate(restart_limits{3, seconds(1), seconds(2), seconds(1)}).ok());
  EXPECT_FALSE(validate(restart_limits{3, seconds(1), seconds(-1), seconds(1)}).ok());
}

} // namespace
} // namespace troupe::dataflow
