// The bar at every width, and what is shown where there is no terminal.
#include "cli/progress_bar.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

namespace troupe::cli {
namespace {

using std::chrono::seconds;

TEST(progress_line, shows_share_speed_and_time_left) {
  const progress_state half{
      .bytes_done = 50 << 20, .bytes_total = 100 << 20, .elapsed = seconds(5)};
  const std::string line = progress_line("loading x", half, 100);
  EXPECT_NE(line.find("[####################--------------------]"), std::string::npos) << line;
  EXPECT_NE(line.find(" 50%"), std::string::npos) << line;
  EXPECT_NE(line.find("10.0 MiB/s, 5.0 s left"), std::string::npos) << line;
}

TEST(progress_line, begins_and_ends_in_full) {
  EXPECT_NE(progress_line("x", {0, 10, {}}, 60).find("  0%"), std::string::npos);
  EXPECT_NE(progress_line("x", {10, 10, {}}, 60).find("100%"), std::string::npos);
  EXPECT_EQ(progress_line("x", {10, 10, {}}, 60).find('-'), std::string::npos);
}

TEST(progress_line, says_99_percent_until_all_is_done) {
  EXPECT_NE(progress_line("x", {999, 1000, {}}, 60).find(" 99%"), std::string::npos);
}

TEST(progress_line, never_exceeds_the_width) {
  const std::string name(50, 'n');
  for (size_t columns = 0; columns < 120; ++columns)
    EXPECT_LE(progress_line(name, {3, 10, seconds(1)}, columns).size(), columns);
}

TEST(progress_line, an_unknown_total_is_no_division_by_zero) {
  EXPECT_NE(progress_line("x", {0, 0, seconds(1)}, 60).find("  0%"), std::string::npos);
}

class still_clock final : public clock {
public:
  time_point now() const override { return at; }
  int64_t wall_seconds() const override { return 0; }
  time_point at{};
};

TEST(progress_bar, without_a_terminal_there_are_two_plain_lines) {
  std::array<int, 2> ends = {-1, -1};
  ASSERT_EQ(::pipe(ends.data()), 0);
  output to(ends[1], "standard error");
  still_clock time;
  progress_bar bar("loading x", to, time);
  bar.update(1, 2);
  time.at += seconds(2);
  bar.update(2048, 2048);
  bar.finish();
  ::close(ends[1]);
  std::array<char, 256> got = {};
  ASSERT_GT(::read(ends[0], got.data(), got.size() - 1), 0);
  ::close(ends[0]);
  EXPECT_EQ(std::string(got.data()), "loading x\nloaded 2.0 KiB in 2.0 s\n");
}

} // namespace
} // namespace troupe::cli
