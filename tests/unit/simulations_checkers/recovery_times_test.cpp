// Recoveries are cut into their four parts, also when failures overlap.
#include "simulations/checkers/recovery_times.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations {
namespace {

using std::chrono::milliseconds;

time_point at(int64_t ms) {
  return time_point(milliseconds(ms));
}

std::vector<int64_t> parts(const recovery& one) {
  std::vector<int64_t> out;
  for (const auto part : {one.detect, one.decide, one.restore, one.refill})
    out.push_back(part / milliseconds(1));
  return out;
}

TEST(recovery_times, cuts_a_recovery_into_its_parts) {
  recovery_times times;
  times.stream_opened(1);
  times.stream_opened(2);
  times.failed(at(100));
  times.proposed(5, at(600));
  times.agreed(5, at(620));
  times.go(5, at(700));
  times.token(1, at(730));
  EXPECT_TRUE(times.under_way());
  times.token(1, at(740));
  times.token(2, at(760));
  ASSERT_EQ(times.done().size(), 1u);
  EXPECT_EQ(parts(times.done()[0]), (std::vector<int64_t>{500, 20, 80, 60}));
  EXPECT_FALSE(times.under_way());
}

TEST(recovery_times, without_streams_nothing_is_refilled) {
  recovery_times times;
  times.failed(at(100));
  times.proposed(5, at(600));
  times.agreed(5, at(620));
  times.go(5, at(700));
  ASSERT_EQ(times.done().size(), 1u);
  EXPECT_EQ(parts(times.done()[0]), (std::vector<int64_t>{500, 20, 80, 0}));
}

TEST(recovery_times, streams_that_end_or_come_later_are_not_waited_for) {
  recovery_times times;
  times.stream_opened(1);
  times.failed(at(100));
  times.proposed(5, at(200));
  times.agreed(5, at(210));
  times.go(5, at(220));
  times.stream_opened(2);
  times.stream_ended(1, at(230));
  ASSERT_EQ(times.done().size(), 1u);
  EXPECT_EQ(parts(times.done()[0])[3], 10);
}

TEST(recovery_times, a_failure_during_recovery_prolongs_it) {
  recovery_times times;
  times.stream_opened(1);
  times.failed(at(100));
  times.proposed(5, at(600));
  times.agreed(5, at(620));
  times.failed(at(650));
  times.proposed(6, at(900));
  times.go(5, at(905)); // too late: it is not the last step any more
  times.agreed(6, at(920));
  times.go(6, at(960));
  times.token(1, at(1000));
  ASSERT_EQ(times.done().size(), 1u);
  EXPECT_EQ(parts(times.done()[0]), (std::vector<int64_t>{500, 320, 40, 40}));
}

TEST(recovery_times, a_failure_that_changes_nothing_is_forgotten) {
  recovery_times times(milliseconds(1000));
  times.failed(at(100));
  times.failed(at(2000));
  times.proposed(5, at(2300));
  times.agreed(5, at(2310));
  times.go(5, at(2320));
  ASSERT_EQ(times.done().size(), 1u);
  EXPECT_EQ(parts(times.done()[0])[0], 300);
}

TEST(recovery_times, an_epoch_nobody_failed_for_is_no_recovery) {
  recovery_times times;
  times.proposed(1, at(10));
  times.agreed(1, at(20));
  times.go(1, at(30));
  EXPECT_TRUE(times.done().empty());
  times.failed(at(100));
  times.agreed(1, at(110)); // told again
  times.go(1, at(120));
  EXPECT_TRUE(times.done().empty());
  EXPECT_TRUE(times.under_way());
}

} // namespace
} // namespace troupe::simulations
