// The team: every share runs once per run, whatever the helpers are doing.
#include "compute/thread_team.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace troupe::compute {
namespace {

TEST(thread_team, every_share_runs_once_in_every_run) {
  for (const uint32_t threads : {1u, 2u, 3u, 8u}) {
    thread_team team(threads);
    std::vector<uint32_t> runs(
        threads); // plain: a share belongs to one thread, runs follow each other
    for (uint32_t run = 1; run <= 2000; ++run) {
      team.run([&runs](uint32_t share) { runs[share] += 1; });
      for (const uint32_t count : runs) ASSERT_EQ(count, run);
    }
  }
}

TEST(thread_team, what_was_written_before_is_seen_and_what_is_written_comes_back) {
  thread_team team(4);
  uint64_t input = 1;
  std::vector<uint64_t> output(4);
  for (int step = 0; step < 3000; ++step) {
    team.run([&](uint32_t share) { output[share] = input + share; });
    input = output[0] + output[1] + output[2] + output[3];
    ASSERT_EQ(input % 2, 0u); // 4 times the input and 6
    input /= 4;
  }
}

TEST(thread_team, several_teams_share_the_processors) {
  // More threads than processors, each team used by its own thread.
  std::vector<std::thread> callers;
  std::vector<uint64_t> sums(4);
  for (uint32_t c = 0; c < 4; ++c) {
    callers.emplace_back([&sums, c] {
      thread_team team(4);
      std::vector<uint64_t> parts(4);
      for (int run = 0; run < 500; ++run) {
        team.run([&parts](uint32_t share) { parts[share] += share + 1; });
      }
      for (const uint64_t part : parts) sums[c] += part;
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const uint64_t sum : sums) EXPECT_EQ(sum, 500u * 10);
}

TEST(thread_team, teams_come_and_go) {
  for (int i = 0; i < 50; ++i) {
    thread_team team(3);
    if (i % 2 == 0) team.run([](uint32_t) {});
  }
}

TEST(thread_team, uses_the_processors_it_is_allowed) {
  EXPECT_GE(processors_allowed(), 1u);
}

} // namespace
} // namespace troupe::compute
