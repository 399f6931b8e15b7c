// Guesses at what comes next.
#include "dataflow/draft.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

using tokens = std::vector<int32_t>;

TEST(draft_test, is_what_followed_the_same_tokens_before) {
  EXPECT_EQ(draft_from(tokens{1, 2, 3, 4, 5, 9, 1, 2, 3}, 2), (tokens{4, 5}));
  EXPECT_EQ(draft_from(tokens{1, 2, 3, 4, 5, 9, 1, 2, 3}, 1), tokens{4});
}

TEST(draft_test, prefers_the_longest_match_and_of_equal_ones_the_latest) {
  EXPECT_EQ(draft_from(tokens{7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2}, 1), tokens{3});
  EXPECT_EQ(draft_from(tokens{1, 2, 3, 8, 1, 2, 4, 7, 1, 2}, 1), tokens{4});
  // Longer ones than match_max are all the same.
  EXPECT_EQ(draft_from(tokens{1, 2, 3, 5, 9, 2, 3, 6, 1, 2, 3}, 1, {.match_max = 2}), tokens{6});
  EXPECT_EQ(draft_from(tokens{1, 2, 3, 5, 9, 2, 3, 6, 1, 2, 3}, 1, {.match_max = 3}), tokens{5});
}

TEST(draft_test, takes_what_repeats_to_go_on_repeating) {
  EXPECT_EQ(draft_from(tokens{5, 5, 5}, 4), (tokens{5, 5, 5, 5}));
  EXPECT_EQ(draft_from(tokens{8, 1, 2, 3, 1, 2, 3}, 7, {.match_max = 3}),
            (tokens{1, 2, 3, 1, 2, 3, 1}));
}

TEST(draft_test, is_empty_where_nothing_has_occurred_before) {
  EXPECT_EQ(draft_from(tokens{}, 4), tokens{});
  EXPECT_EQ(draft_from(tokens{1}, 4), tokens{});
  EXPECT_EQ(draft_from(tokens{1, 1}, 4), tokens{});
  EXPECT_EQ(draft_from(tokens{1, 2, 3, 4}, 4), tokens{});
  EXPECT_EQ(draft_from(tokens{1, 2, 3, 2}, 4), tokens{}); // one token is no match
  EXPECT_EQ(draft_from(tokens{1, 2, 3, 2}, 1, {.match_min = 1}), tokens{3});
  EXPECT_EQ(draft_from(tokens{1, 2, 3, 1, 2}, 0), tokens{});
}

TEST(draft_test, searches_its_window_alone) {
  tokens all{1, 2, 3};
  all.insert(all.end(), 10, 0);
  for (int i = 0; i < 10; ++i) all[3 + size_t(i)] = 100 + i;
  all.insert(all.end(), {1, 2});
  EXPECT_EQ(draft_from(all, 1), tokens{3});
  EXPECT_EQ(draft_from(all, 1, {.window = 12}), tokens{});
}

TEST(draft_length_test, grows_while_guesses_hold_and_shrinks_to_what_held) {
  draft_length length;
  EXPECT_EQ(length.next(64), 2u);
  length.drew(2, 2);
  length.drew(4, 4);
  EXPECT_EQ(length.next(64), 8u);
  EXPECT_EQ(length.next(5), 5u);
  length.drew(8, 3);
  EXPECT_EQ(length.next(64), 3u);
  for (int i = 0; i < 10; ++i) length.drew(1, 1);
  EXPECT_EQ(length.next(1000), 64u);
}

TEST(draft_length_test, rests_after_failures_and_longer_each_time) {
  draft_length length;
  uint32_t last = 0;
  for (int round = 0; round < 6; ++round) {
    while (length.next(8) > 0) length.drew(length.next(8), 0);
    uint32_t rest = 0;
    for (; length.next(8) == 0; ++rest) length.drew(0, 0);
    EXPECT_TRUE(rest > last || rest == 64) << round;
    last = rest;
  }
  EXPECT_EQ(last, 64u);
  length.drew(1, 1);
  while (length.next(8) > 0) length.drew(length.next(8), 0);
  length.drew(0, 0);
  length.drew(0, 0);
  length.drew(0, 0);
  EXPECT_EQ(length.next(8), 0u);
  length.drew(0, 0);
  EXPECT_EQ(length.next(8), 1u);
}

} // namespace
} // namespace troupe::dataflow
