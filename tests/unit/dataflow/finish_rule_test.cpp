// When a stream ends: end-of-sequence ids, stop ids, minimum and maximum.
#include "dataflow/finish_rule.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

constexpr std::array<int32_t, 2> eos = {2, 3};

generation_request request() {
  generation_request r;
  r.tokens_max = 10;
  r.stop_ids = {7};
  return r;
}

finish_facts drawn(int32_t token, uint32_t count) {
  return {
      .token = token, .drawn = count, .known = 100 + count, .positions_max = 200, .eos_ids = eos};
}

TEST(finish_rule_test, goes_on_after_an_ordinary_token) {
  EXPECT_FALSE(finish_after(request(), drawn(5, 1)).has_value());
}

TEST(finish_rule_test, stops_at_an_end_of_sequence_or_stop_id) {
  for (const int32_t token : {2, 3, 7}) {
    const auto end = finish_after(request(), drawn(token, 1));
    ASSERT_TRUE(end.has_value()) << token;
    EXPECT_EQ(end->reason, finish_reason::stop);
    EXPECT_TRUE(end->by_stop_id);
  }
}

TEST(finish_rule_test, ignore_eos_ignores_the_models_ids_but_not_the_clients) {
  auto r = request();
  r.ignore_eos = true;
  EXPECT_FALSE(finish_after(r, drawn(2, 1)).has_value());
  EXPECT_TRUE(finish_after(r, drawn(7, 1)).has_value());
  EXPECT_EQ(banned_before_min(r, 0, eos), std::vector<int32_t>());
  r.tokens_min = 1;
  EXPECT_EQ(banned_before_min(r, 0, eos), std::vector<int32_t>{7});
}

TEST(finish_rule_test, ends_by_length_at_the_maximum_or_at_the_last_position) {
  const auto full = finish_after(request(), drawn(5, 10));
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(full->reason, finish_reason::length);
  EXPECT_FALSE(full->by_stop_id);
  auto last = drawn(5, 4);
  last.positions_max = 104;
  ASSERT_TRUE(finish_after(request(), last).has_value());
  last.positions_max = 105;
  EXPECT_FALSE(finish_after(request(), last).has_value());
}

TEST(finish_rule_test, a_stop_id_at_the_maximum_counts_as_stop) {
  EXPECT_EQ(finish_after(request(), drawn(2, 10))->reason, finish_reason::stop);
}

TEST(finish_rule_test, bans_exactly_as_long_as_the_minimum_is_not_reached) {
  auto r = request();
  r.tokens_min = 2;
  EXPECT_EQ(banned_before_min(r, 0, eos), (std::vector<int32_t>{7, 2, 3}));
  EXPECT_EQ(banned_before_min(r, 1, eos).size(), 3u);
  EXPECT_TRUE(banned_before_min(r, 2, eos).empty());
  EXPECT_FALSE(finish_after(r, drawn(2, 2)).has_value());
  EXPECT_TRUE(finish_after(r, drawn(2, 3)).has_value());
}

} // namespace
} // namespace troupe::dataflow
