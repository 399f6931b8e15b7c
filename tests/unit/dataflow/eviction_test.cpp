// Who goes first under each policy, in the ranks alone and in the page table.
#include "dataflow/eviction.hpp"
#include "dataflow/kv_pages.hpp"
#include "tests/support/agentic_trace.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace troupe::dataflow {
namespace {

using tokens = std::vector<int32_t>;

tokens count_from(int32_t first, size_t count) {
  tokens out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

TEST(eviction_order, every_policy_is_found_by_its_name_and_nothing_else_is) {
  for (const auto policy : {eviction_policy::lru, eviction_policy::lfu, eviction_policy::cost})
    EXPECT_EQ(parse_eviction_policy(to_string(policy)), policy);
  EXPECT_EQ(parse_eviction_policy("fifo"), std::nullopt);
  EXPECT_EQ(parse_eviction_policy(""), std::nullopt);
}

TEST(eviction_order, lru_looks_at_the_last_use_alone) {
  const eviction_order order({.policy = eviction_policy::lru});
  EXPECT_LT(order.rank({.used_at = 1, .uses = 9, .turn = 9, .position = 900}),
            order.rank({.used_at = 2}));
}

TEST(eviction_order, lfu_looks_at_the_uses_and_then_at_the_last_use) {
  const eviction_order order({.policy = eviction_policy::lfu});
  EXPECT_LT(order.rank({.used_at = 9, .uses = 1}), order.rank({.used_at = 1, .uses = 2}));
  EXPECT_LT(order.rank({.used_at = 1, .uses = 2}), order.rank({.used_at = 2, .uses = 2}));
}

class eviction_by_cost : public testing::Test {
protected:
  eviction_order order{
      {.policy = eviction_policy::cost, .attention_positions = 1000, .remembered_max = 3}};

  void give_up(const page_history& page, uint64_t key) {
    order.gave_up(order.rank(page), page, key);
  }
};

TEST_F(eviction_by_cost, knowing_nothing_it_goes_by_the_last_use) {
  EXPECT_LT(order.rank({.used_at = 1, .uses = 9, .turn = 3}), order.rank({.used_at = 2}));
}

TEST_F(eviction_by_cost, learns_which_kind_of_page_comes_back) {
  const page_history fixed{.used_at = 1, .uses = 20};
  const page_history once{.used_at = 2, .turn = 2};
  for (uint64_t n = 0; n < 20; ++n) {
    order.used_again(fixed);
    give_up(once, n);
  }
  EXPECT_LT(order.rank({.used_at = 9, .turn = 2}), order.rank({.used_at = 8, .uses = 10}));
  EXPECT_EQ(order.rank({.used_at = 9, .turn = 4}).worth, order.rank({.used_at = 9}).worth);
}

TEST_F(eviction_by_cost, counts_what_computing_again_costs_within_a_bound) {
  const auto first = order.rank({}).worth;
  EXPECT_LT(first, order.rank({.position = 500}).worth);
  EXPECT_EQ(order.rank({.position = 1000}).worth, 2 * first);
  EXPECT_EQ(order.rank({.position = 3000}).worth, 4 * first);
  EXPECT_EQ(order.rank({.position = 4'000'000'000}).worth, 4 * first);
}

TEST_F(eviction_by_cost, a_page_that_comes_back_soon_has_its_history_and_teaches) {
  const page_history page{.uses = 5};
  for (uint64_t key = 1; key <= 4; ++key) order.gave_up({}, page, key);
  const uint64_t before = order.rank(page).worth;
  EXPECT_EQ(order.computed(1), 1u); // three are remembered
  EXPECT_EQ(order.computed(2), 6u);
  EXPECT_EQ(order.computed(2), 1u); // once
  EXPECT_EQ(order.computed(77), 1u);
  EXPECT_GT(order.rank(page).worth, before);
  for (int n = 0; n < 50'000; ++n) { // counters stay within their bounds
    order.used_again(page);
    order.gave_up({}, page, 5);
  }
  EXPECT_GT(order.rank(page).worth, 0u);
}

TEST_F(eviction_by_cost, what_is_given_up_makes_fresh_pages_overtake_old_worth) {
  const page_history famous{.used_at = 1, .uses = 1'000'000};
  const page_history fresh{.used_at = 2};
  for (int n = 0; n < 1000; ++n) order.used_again(famous);
  const auto old = order.rank(famous);
  int generations = 0;
  for (; order.rank(fresh) < old; ++generations) {
    ASSERT_LT(generations, 100);
    give_up(fresh, 1);
    order.used_again(fresh); // no worse than any other
  }
  EXPECT_GT(generations, 3);
}

class eviction_in_the_table : public testing::TestWithParam<eviction_policy> {
protected:
  kv_pages table{{.page_count = 32, .page_tokens = 4, .eviction = GetParam()}};
  sequence_id last_id = 0;

  // Tokens found.
  uint32_t run(const tokens& all) {
    const auto opened = table.open({.id = ++last_id, .tokens = all});
    EXPECT_TRUE(table.extend(last_id, static_cast<uint32_t>(all.size())).ok());
    (void)table.commit(last_id, std::span(all).subspan(opened->cached_tokens));
    table.close(last_id);
    table.check_invariants();
    return opened->cached_tokens;
  }
  void scan(int32_t pages) { run(count_from(1000 * static_cast<int32_t>(last_id), 4 * pages)); }
};

TEST_P(eviction_in_the_table, a_prompt_in_use_survives_scans_unless_recency_is_all_that_counts) {
  const tokens shared = count_from(-100, 33);
  for (int n = 0; n < 3; ++n) run(shared);
  uint32_t found = 0;
  for (int n = 0; n < 8; ++n) {
    found = run(shared);
    scan(14);
    scan(14);
  }
  if (GetParam() == eviction_policy::lru)
    EXPECT_LT(found, 32u);
  else
    EXPECT_EQ(found, 32u);
}

TEST_P(eviction_in_the_table, a_new_favourite_replaces_an_old_one_unless_only_fame_counts) {
  for (int n = 0; n < 50; ++n) run(count_from(-100, 105)); // 26 of the 32 pages
  uint32_t found = 0;
  for (int n = 0; n < 30; ++n) {
    found = run(count_from(5000, 65));
    scan(8);
  }
  if (GetParam() == eviction_policy::lfu)
    EXPECT_LT(found, 64u);
  else
    EXPECT_EQ(found, 64u);
}

TEST_P(eviction_in_the_table, counts_what_was_given_up_unused) {
  run(count_from(-100, 17));
  run(count_from(-100, 17)); // 4 pages used twice, 1 free
  scan(27);
  EXPECT_EQ(table.stats().evictions, 0u);
  scan(30);
  const auto s = table.stats();
  EXPECT_GE(s.evicted_unused, 25u);
  EXPECT_GE(s.evictions, s.evicted_unused);
  EXPECT_EQ(s.dropped, 0u);
  table.drop_cached();
  EXPECT_EQ(table.stats().evictions, s.evictions);
  EXPECT_EQ(table.stats().dropped, s.pages_cached);
}

INSTANTIATE_TEST_SUITE_P(policies, eviction_in_the_table,
                         testing::Values(eviction_policy::lru, eviction_policy::lfu,
                                         eviction_policy::cost),
                         [](const auto& info) { return std::string(to_string(info.param)); });

// Smaller than the mixes of the bench, where learning takes a larger part of the trace; another
// seed.
TEST(eviction_on_traces, cost_is_never_far_behind_the_best_and_nothing_finds_more_than_can_be) {
  double sum_ours = 0;
  double sum_lru = 0;
  double sum_lfu = 0;
  for (const uint64_t seed : {11}) {
    for (auto mix : tests::agentic_mixes()) {
      mix.requests = 600;
      if (mix.shift_every != 0) mix.shift_every = 120;
      const tests::agentic_trace trace(mix, seed);
      const tests::offline_bound bound(trace.requests(), 16);
      for (const uint32_t percent : {10, 20, 40}) {
        const uint32_t pages = bound.distinct_pages() * percent / 100;
        const auto with = [&](eviction_policy policy) {
          return tests::replay(trace.requests(),
                               {.page_count = pages, .page_tokens = 16, .eviction = policy})
              .hit_rate();
        };
        const double ours = with(eviction_policy::cost);
        const double lru = with(eviction_policy::lru);
        const double lfu = with(eviction_policy::lfu);
        sum_ours += ours;
        sum_lru += lru;
        sum_lfu += lfu;
        EXPECT_GE(ours, std::max(lru, lfu) - 0.03) << mix.name << " pages " << pages;
        EXPECT_LE(std::max({ours, lru, lfu}), bound.replay(pages, 0).hit_rate()) << mix.name;
      }
    }
  }
  EXPECT_GT(sum_ours, sum_lru);
  EXPECT_GT(sum_ours, sum_lfu);
}

} // namespace
} // namespace troupe::dataflow
