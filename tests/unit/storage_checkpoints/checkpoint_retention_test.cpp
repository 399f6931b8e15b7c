// The rule on lists of checkpoints, and that no list ever loses its last good one.
#include "storage/checkpoint_retention.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::storage {
namespace {

using steps = std::vector<uint64_t>;

// Of checkpoints at 10, 20, … 60; those named are damaged.
steps removed(const checkpoint_retention& rule, const steps& damaged = {}) {
  constexpr double scores[] = {3, 1, 2, 1, 5, 4};
  std::vector<retained_checkpoint> list;
  for (uint64_t i = 0; i < 6; ++i) {
    const uint64_t step = (i + 1) * 10;
    list.push_back({.step = step,
                    .intact = std::ranges::find(damaged, step) == damaged.end(),
                    .score = scores[i]});
  }
  steps out;
  for (const size_t index : checkpoints_to_remove(list, rule)) out.push_back(list[index].step);
  return out;
}

TEST(checkpoint_retention, keeps_what_the_rule_names) {
  EXPECT_EQ(removed({.last = 2}), (steps{10, 20, 30, 40}));
  EXPECT_EQ(removed({.last = 0}), (steps{10, 20, 30, 40, 50})) << "one at least";
  EXPECT_EQ(removed({.last = 6}), steps{});
  EXPECT_EQ(removed({.last = 100}), steps{});
  EXPECT_EQ(removed({.last = 1, .every = 20}), (steps{10, 30, 50}));
  EXPECT_EQ(removed({.last = 1, .keep_best = true}), (steps{10, 20, 30, 50})) << "the newer best";
  EXPECT_EQ(removed({.last = 1, .every = 30, .keep_best = true}), (steps{10, 20, 50}));
}

TEST(checkpoint_retention, damaged_ones_do_not_count) {
  EXPECT_EQ(removed({.last = 1}, {60}), (steps{10, 20, 30, 40}));
  EXPECT_EQ(removed({.last = 2}, {50}), (steps{10, 20, 30}));
  EXPECT_EQ(removed({.last = 1, .every = 20}, {20}), (steps{10, 20, 30, 50}));
  EXPECT_EQ(removed({.last = 1, .keep_best = true}, {40}), (steps{10, 30, 40, 50}));
  EXPECT_EQ(removed({.last = 1}, {10, 20, 30, 40, 50, 60}), steps{});
}

TEST(checkpoint_retention, the_newest_intact_one_is_never_removed) {
  for (unsigned damaged = 0; damaged < 64; ++damaged) {
    steps bad;
    for (uint64_t i = 0; i < 6; ++i)
      if ((damaged >> i & 1) != 0) bad.push_back((i + 1) * 10);
    uint64_t newest = 0;
    for (uint64_t step = 10; step <= 60; step += 10)
      if (std::ranges::find(bad, step) == bad.end()) newest = step;
    for (size_t last = 0; last < 8; ++last) {
      const auto gone = removed({.last = last}, bad);
      EXPECT_EQ(std::ranges::find(gone, newest), gone.end());
      EXPECT_TRUE(newest != 0 || gone.empty());
    }
  }
}

} // namespace
} // namespace troupe::storage
