// Results survive their way from a worker.
#include "simulations/runner/result_text.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations {
namespace {

TEST(result_text, everything_survives) {
  run_result from;
  from.seed = UINT64_MAX;
  from.hash = 0x8000000000000001;
  from.events = 5;
  from.virtual_time = duration(123456789);
  from.violations.push_back(
      {.invariant = "S2", .what = "with \"quotes\"\nand lines", .when = time_point(duration(7))});
  from.strategy = strategy_kind::delay;
  from.faults["F03"] = 2;
  from.probes["epoch.go"] = 3;
  from.recoveries.push_back({.detect = duration(1),
                             .decide = duration(2),
                             .restore = duration(3),
                             .refill = duration(4)});
  from.streams = 6;
  from.streams_failed = 1;
  from.tokens = 99;
  from.tokens_recomputed = 9;
  from.epochs = 4;
  from.tail = {"one", "two"};
  from.event_hashes = {1, UINT64_MAX};
  from.messages.push_back(
      {.from = 1, .to = 2, .sent = time_point(duration(5)), .arrived = {}, .what = "vote"});
  from.marks.push_back({.node = 3, .when = time_point(duration(8)), .what = "crash"});
  const std::string line = write_result(from);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto got = parse_result(line);
  ASSERT_TRUE(got.has_value()) << got.error().why();
  EXPECT_EQ(write_result(*got), line);
  EXPECT_EQ(got->seed, from.seed);
  EXPECT_EQ(got->hash, from.hash);
  EXPECT_EQ(got->violations[0].what, from.violations[0].what);
  EXPECT_EQ(got->recoveries[0].refill, duration(4));
  EXPECT_EQ(got->messages[0].arrived, time_point{});
  EXPECT_EQ(got->event_hashes, from.event_hashes);
}

TEST(result_text, garbage_is_corrupt) {
  for (const auto* line : {"", "{", "[]", "{}", "{\"seed\":1}"}) {
    const auto got = parse_result(line);
    ASSERT_FALSE(got.has_value()) << line;
    EXPECT_EQ(got.error().code(), status_code::corrupt);
  }
}

} // namespace
} // namespace troupe::simulations
