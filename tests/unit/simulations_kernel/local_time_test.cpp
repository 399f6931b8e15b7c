// Clocks that stray: how far, never backwards, and back to virtual time.
#include "simulations/kernel/local_time.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr time_point start{duration(1)};

clock_fault drifting(int64_t ppm) {
  return {.drift_ppm = ppm, .wave_ppm = 0, .wave_period = {}, .wall_offset_s = 0};
}
clock_fault waving(int64_t drift, int64_t wave, duration period) {
  return {.drift_ppm = drift, .wave_ppm = wave, .wave_period = period, .wall_offset_s = 0};
}

TEST(local_time_test, without_a_fault_is_virtual_time) {
  const local_time time(start);
  EXPECT_EQ(time.at(start + seconds(7)), start + seconds(7));
  EXPECT_EQ(time.reaches(start + seconds(7), start), start + seconds(7));
  EXPECT_EQ(time.reaches(start + seconds(7), start + seconds(9)), start + seconds(9));
}

TEST(local_time_test, drifts_by_parts_per_million_from_the_moment_it_is_told) {
  local_time time(start);
  time.set(drifting(500), start + seconds(10));
  EXPECT_EQ(time.at(start + seconds(10)), start + seconds(10));
  EXPECT_EQ(time.at(start + seconds(20)), start + seconds(20) + milliseconds(5));
  time.set(drifting(-500), start + seconds(20));
  EXPECT_EQ(time.at(start + seconds(30)), start + seconds(30));
}

TEST(local_time_test, a_wave_runs_ahead_and_comes_back) {
  local_time time(start);
  time.set(waving(0, 100'000, seconds(2)), start);
  EXPECT_EQ(time.at(start + seconds(1)), start + milliseconds(1100));
  EXPECT_EQ(time.at(start + milliseconds(1500)), start + milliseconds(1550));
  EXPECT_EQ(time.at(start + seconds(2)), start + seconds(2));
}

TEST(local_time_test, leaps_ahead) {
  local_time time(start);
  time.jump(seconds(3));
  EXPECT_EQ(time.at(start + seconds(1)), start + seconds(4));
  EXPECT_EQ(time.reaches(start + seconds(4), start), start + seconds(1));
}

TEST(local_time_test, never_goes_backwards_nanosecond_by_nanosecond) {
  for (const auto& fault :
       {waving(-100'000, -500'000, duration(7)), waving(100'000, 500'000, duration(10)),
        waving(-99'999, 333'333, duration(1001)), drifting(-100'000)}) {
    local_time time(start);
    time.set(fault, start);
    for (int64_t i = 1; i < 5000; ++i)
      ASSERT_GE(time.at(start + duration(i)), time.at(start + duration(i - 1))) << i;
  }
}

TEST(local_time_test, finds_the_first_moment_at_which_it_shows_a_time) {
  for (const auto& fault :
       {waving(-100'000, -500'000, duration(1000)), waving(100'000, 500'000, duration(10)),
        waving(50'000, -333'333, duration(777)), drifting(-100'000), drifting(77'777),
        drifting(0)}) {
    local_time time(start);
    time.set(fault, start);
    time.jump(duration(13));
    for (int64_t wanted = 14; wanted < 4000; wanted += 3) {
      const time_point local = start + duration(wanted);
      const time_point found = time.reaches(local, start);
      ASSERT_GE(time.at(found), local) << wanted;
      ASSERT_TRUE(found == start || time.at(found - duration(1)) < local) << wanted;
    }
  }
}

TEST(local_time_test, holds_for_years) {
  local_time time(start);
  time.set(waving(100'000, 500'000, seconds(60)), start);
  const time_point far = start + seconds(100'000'000);
  const time_point found = time.reaches(far, start);
  EXPECT_GE(time.at(found), far);
  EXPECT_LT(time.at(found - duration(1)), far);
}

} // namespace
} // namespace troupe::simulations
