// Idle, moving, waiting and stalled are told apart by what is open and what has moved.
#include "server/progress_watch.hpp"

#include <gtest/gtest.h>

namespace troupe::server {
namespace {

using verdict = progress_watch::verdict;

time_point at(int seconds) {
  return time_point(std::chrono::seconds(seconds));
}

TEST(progress_watch, nothing_to_do_is_idle_for_ever) {
  progress_watch watch(std::chrono::seconds(10));
  EXPECT_EQ(watch.look(0, 5, at(0)).what, verdict::idle);
  EXPECT_EQ(watch.look(0, 5, at(1000)).what, verdict::idle);
}

TEST(progress_watch, work_that_does_not_move_is_stalled_after_its_patience) {
  progress_watch watch(std::chrono::seconds(10));
  EXPECT_EQ(watch.look(0, 5, at(0)).what, verdict::idle);
  EXPECT_EQ(watch.look(1, 5, at(100)).what, verdict::moving); // it has only just come
  EXPECT_EQ(watch.look(1, 5, at(109)).what, verdict::waiting);
  const auto stalled = watch.look(1, 5, at(110));
  EXPECT_EQ(stalled.what, verdict::stalled);
  EXPECT_EQ(stalled.still, std::chrono::seconds(10));
  EXPECT_EQ(watch.look(1, 6, at(111)).what, verdict::moving);
  EXPECT_EQ(watch.look(1, 6, at(112)).what, verdict::waiting);
}

} // namespace
} // namespace troupe::server
