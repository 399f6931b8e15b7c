// The page table: sharing by content, eviction order, bounds.
#include "dataflow/kv_pages.hpp"

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

class kv_pages_test : public testing::Test {
protected:
  static constexpr uint32_t page_tokens = 4;
  kv_pages table{{.page_count = 8, .page_tokens = page_tokens}};

  // Opens, gives pages, computes everything; returns the tokens found in the cache.
  uint32_t run(sequence_id id, const tokens& all, open_sequence_args args = {}) {
    args.id = id;
    args.tokens = all;
    const auto opened = table.open(args);
    EXPECT_TRUE(opened.has_value());
    EXPECT_TRUE(table.extend(id, static_cast<uint32_t>(all.size())).ok());
    (void)table.commit(id, std::span(all).subspan(opened->cached_tokens));
    table.check_invariants();
    return opened->cached_tokens;
  }
  void run_and_close(sequence_id id, const tokens& all, open_sequence_args args = {}) {
    run(id, all, args);
    table.close(id);
    table.check_invariants();
  }
  tokens pages_of(sequence_id id) const { return {table.pages(id).begin(), table.pages(id).end()}; }
};

TEST_F(kv_pages_test, finds_the_full_pages_of_an_earlier_equal_prompt) {
  run(1, count_from(100, 10));
  EXPECT_EQ(run(2, count_from(100, 10)), 8u);
  EXPECT_EQ(table.pages(1)[0], table.pages(2)[0]);
  EXPECT_EQ(table.pages(1)[1], table.pages(2)[1]);
  EXPECT_NE(table.pages(1)[2], table.pages(2)[2]); // not full: private
  EXPECT_EQ(table.stats().pages_used, 4u);
}

TEST_F(kv_pages_test, leaves_the_last_token_of_a_fully_cached_prompt_to_be_computed) {
  run(1, count_from(100, 8));
  EXPECT_EQ(run(2, count_from(100, 8)), 4u);
  EXPECT_EQ(run(3, count_from(100, 9)), 8u);
}

TEST_F(kv_pages_test, shares_pages_while_the_first_owner_is_gone_and_while_it_is_there) {
  run_and_close(1, count_from(0, 9));
  EXPECT_EQ(run(2, count_from(0, 9)), 8u);
  EXPECT_EQ(run(3, count_from(0, 9)), 8u);
}

TEST_F(kv_pages_test, stops_at_the_first_page_that_differs_even_when_later_pages_agree) {
  tokens first = count_from(0, 13);
  tokens second = first;
  second[5] = 99;
  run(1, first);
  EXPECT_EQ(run(2, second), 4u);
}

TEST_F(kv_pages_test, keeps_salts_and_weight_versions_apart) {
  run_and_close(1, count_from(0, 9), {.salt = "a", .weight_version = 1});
  run_and_close(2, count_from(0, 9), {.salt = "b", .weight_version = 1});
  EXPECT_EQ(table.stats().hit_tokens, 0u);
  EXPECT_EQ(run(3, count_from(0, 9), {.salt = "a", .weight_version = 2}), 0u);
  table.close(3);
  EXPECT_EQ(run(4, count_from(0, 9), {.salt = "b", .weight_version = 1}), 8u);
}

TEST_F(kv_pages_test, neither_looks_up_without_reuse_nor_enters_pages_without_remember) {
  run_and_close(1, count_from(0, 9), {.remember = false});
  EXPECT_EQ(table.stats().pages_free, 8u);
  run_and_close(2, count_from(0, 9));
  EXPECT_EQ(run(3, count_from(0, 9), {.reuse = false}), 0u);
  EXPECT_EQ(table.stats().queries_tokens, 18u); // of 1 and 2
}

TEST_F(kv_pages_test, a_sequence_that_computed_an_equal_page_moves_over_and_frees_its_own) {
  const tokens prompt = count_from(0, 6);
  for (const sequence_id id : {1, 2}) {
    ASSERT_TRUE(table.open({.id = id, .tokens = prompt}).has_value());
    ASSERT_TRUE(table.extend(id, 6).ok());
  }
  EXPECT_EQ(table.stats().pages_used, 4u);
  EXPECT_FALSE(table.commit(1, prompt));
  EXPECT_TRUE(table.commit(2, prompt));
  EXPECT_EQ(table.pages(1)[0], table.pages(2)[0]);
  EXPECT_EQ(table.stats().pages_used, 3u);
  table.check_invariants();
}

TEST_F(kv_pages_test, pages_completed_by_generated_tokens_are_found_too) {
  run(1, count_from(0, 3));
  for (int32_t token = 3; token < 9; ++token) {
    ASSERT_TRUE(table.extend(1, static_cast<uint32_t>(token) + 1).ok());
    EXPECT_FALSE(table.commit(1, std::span(&token, 1)));
  }
  EXPECT_EQ(table.computed_tokens(1), 9u);
  EXPECT_EQ(run(2, count_from(0, 9)), 8u);
}

TEST_F(kv_pages_test, a_hash_collision_never_shares_a_page) {
  kv_pages colliding({.page_count = 64, .page_tokens = 2, .hash_bits = 0});
  for (sequence_id id = 1; id <= 20; ++id) {
    const tokens prompt = {static_cast<int32_t>(id), 7, 8, 9, 10};
    const auto opened = colliding.open({.id = id, .tokens = prompt});
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->cached_tokens, 0u) << id;
    ASSERT_TRUE(colliding.extend(id, 5).ok());
    (void)colliding.commit(id, prompt);
    colliding.check_invariants();
  }
}

TEST_F(kv_pages_test, refuses_what_can_never_fit_and_what_has_no_tokens) {
  const auto too_long = table.open({.id = 1, .tokens = count_from(0, 33)});
  ASSERT_FALSE(too_long.has_value());
  EXPECT_EQ(too_long.error().code(), status_code::exhausted);
  EXPECT_NE(too_long.error().why().find("9 KV pages"), std::string::npos);
  EXPECT_EQ(table.open({.id = 1}).error().code(), status_code::invalid_argument);
  EXPECT_FALSE(table.is_open(1));
  EXPECT_TRUE(table.open({.id = 1, .tokens = count_from(0, 32)}).has_value());
}

TEST_F(kv_pages_test, an_exhausted_extend_changes_nothing) {
  run(1, count_from(0, 20)); // 5 pages
  run(2, count_from(50, 8)); // 2 pages
  const auto before = pages_of(2);
  EXPECT_EQ(table.extend(2, 17).code(), status_code::exhausted);
  EXPECT_EQ(pages_of(2), before);
  EXPECT_EQ(table.available(), 1u);
  EXPECT_TRUE(table.extend(2, 12).ok());
  EXPECT_EQ(table.extend(2, 13).code(), status_code::exhausted);
  table.check_invariants();
}

TEST_F(kv_pages_test, extend_never_takes_pages_back) {
  run(1, count_from(0, 10));
  EXPECT_TRUE(table.extend(1, 1).ok());
  EXPECT_EQ(table.pages(1).size(), 3u);
}

TEST_F(kv_pages_test, takes_free_pages_before_it_evicts) {
  run_and_close(1, count_from(0, 8));
  run(2, count_from(100, 24));
  EXPECT_EQ(table.stats().evictions, 0u);
  EXPECT_EQ(table.stats().pages_cached, 2u);
}

TEST_F(kv_pages_test, evicts_the_least_recently_used_and_children_before_parents) {
  table = kv_pages({.page_count = 8, .page_tokens = page_tokens, .eviction = eviction_policy::lru});
  run_and_close(1, count_from(0, 12));              // 3 pages
  run_and_close(2, count_from(100, 12));            // 3 pages; 2 free
  run_and_close(3, count_from(0, 12));              // touches 1's: 100… is the oldest now
  run(4, count_from(200, 16), {.remember = false}); // 4 pages: 2 free, 2 evicted
  EXPECT_EQ(table.stats().evictions, 2u);
  table.close(4);
  EXPECT_EQ(run(5, count_from(100, 13)), 4u); // its parent page survived
  EXPECT_EQ(run(6, count_from(0, 13)), 12u);
}

TEST_F(kv_pages_test, a_held_chain_is_not_evicted) {
  run(1, count_from(0, 8));
  run(2, count_from(100, 24));
  EXPECT_EQ(table.available(), 0u);
  table.close(2);
  EXPECT_EQ(table.available(), 6u);
  run(3, count_from(200, 24));
  EXPECT_EQ(table.stats().evictions, 6u);
  EXPECT_EQ(table.computed_tokens(1), 8u);
}

TEST_F(kv_pages_test, counts_every_page_once) {
  run_and_close(1, count_from(0, 10));
  run(2, count_from(0, 6));
  const auto s = table.stats();
  EXPECT_EQ(s.pages_total, 8u);
  EXPECT_EQ(s.pages_used, 2u);
  EXPECT_EQ(s.pages_cached, 1u);
  EXPECT_EQ(s.pages_free, 5u);
  EXPECT_EQ(s.queries_tokens, 16u);
  EXPECT_EQ(s.hit_tokens, 4u);
  EXPECT_EQ(table.available(), 6u);
}

TEST_F(kv_pages_test, drop_cached_forgets_what_nobody_holds) {
  run_and_close(1, count_from(0, 12));
  run(2, count_from(0, 5));
  table.drop_cached();
  table.check_invariants();
  EXPECT_EQ(table.stats().pages_cached, 0u);
  EXPECT_EQ(run(3, count_from(0, 12)), 4u); // the one that 2 holds
}

using kv_pages_death_test = kv_pages_test;

TEST_F(kv_pages_death_test, bugs_of_the_caller_end_the_process) {
  run(1, count_from(0, 4));
  EXPECT_DEATH((void)table.open({.id = 1, .tokens = count_from(0, 1)}), "is_open");
  EXPECT_DEATH((void)table.commit(1, count_from(4, 1)), "page_tokens"); // no page for it
  EXPECT_DEATH(table.close(2), "");
}

} // namespace
} // namespace troupe::dataflow
