// Clients' timers are events of the world: they come at their time, in order, and not when
// cancelled.
#include "simulations/workload/world_timers.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe::simulations {
namespace {

using std::chrono::milliseconds;

TEST(world_timers, come_at_their_time_unless_cancelled) {
  world base(world_options{.seed = 1, .machines = 1, .strategy = {}});
  world_timers timers(base);
  const time_point begin = timers.now();
  std::string heard;
  timers.schedule(begin + milliseconds(20), "b", [&heard] { heard += 'b'; });
  timers.schedule(begin + milliseconds(10), "a", [&] {
    heard += 'a';
    EXPECT_EQ(timers.now(), begin + milliseconds(10));
    timers.schedule(timers.now() + milliseconds(5), "c", [&heard] { heard += 'c'; });
  });
  const uint64_t never = timers.schedule(begin + milliseconds(15), "d", [&heard] { heard += 'd'; });
  timers.cancel(never);
  while (base.step(begin + milliseconds(100))) {
  }
  EXPECT_EQ(heard, "acb");
}

} // namespace
} // namespace troupe::simulations
