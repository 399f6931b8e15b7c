// The counting page table: the same rules as the real one, at the size of blocks.
#include "simulations/capacity/kv_budget.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

trace_request prompt(uint32_t session, uint32_t tokens) {
  trace_request out;
  out.session = session;
  out.input = tokens;
  return out;
}

class kv_budget_test : public testing::Test {
protected:
  kv_budget kv{{.pages = 200, .page_tokens = 16, .blocks = {}, .remember = true}};
  trace_request first = prompt(1, 1100), again = prompt(1, 1400), other = prompt(2, 1100);
};

TEST_F(kv_budget_test, finds_the_blocks_of_the_same_conversation) {
  EXPECT_EQ(kv.open(1, first, 1100), 0u);
  ASSERT_TRUE(kv.extend(1, 1100));
  kv.commit(1, 1100);
  EXPECT_EQ(kv.used(), 69u);
  EXPECT_EQ(kv.open(2, again, 1400), 1024u); // while the other still runs
  EXPECT_EQ(kv.open(3, other, 1100), 0u);
  kv.check_invariants();
}

TEST_F(kv_budget_test, keeps_blocks_until_room_is_needed) {
  kv.open(1, first, 1100);
  ASSERT_TRUE(kv.extend(1, 1100));
  kv.commit(1, 1100);
  kv.close(1);
  EXPECT_EQ(kv.used(), 0u);
  EXPECT_EQ(kv.available(), 200u);
  kv.open(2, other, 3200);
  ASSERT_TRUE(kv.extend(2, 200 * 16 - 512)); // evicts the last block only
  EXPECT_EQ(kv.open(3, again, 1400), 512u);
  kv.check_invariants();
}

TEST_F(kv_budget_test, never_finds_all_of_a_prompt) {
  const auto whole = prompt(5, 1024);
  kv.open(1, whole, 1024);
  ASSERT_TRUE(kv.extend(1, 1024));
  kv.commit(1, 1024);
  EXPECT_EQ(kv.open(2, whole, 1024), 512u);
}

TEST_F(kv_budget_test, refuses_beyond_its_pages_and_changes_nothing) {
  kv.open(1, first, 1100);
  EXPECT_FALSE(kv.extend(1, 201 * 16));
  EXPECT_EQ(kv.used(), 0u);
  EXPECT_TRUE(kv.extend(1, 200 * 16));
  kv.check_invariants();
}

TEST_F(kv_budget_test, balances_under_random_use) {
  const random_key key{11, random_subsystem::workload, 0};
  std::vector<trace_request> requests;
  for (uint32_t n = 0; n < 40; ++n)
    requests.push_back(prompt(n % 7, 100 + uint32_t(random_below(key, n, 2000))));
  std::vector<bool> open(requests.size(), false);
  for (uint64_t n = 0; n < 5000; ++n) {
    const auto id = static_cast<uint32_t>(random_below(key, 1000 + n, requests.size()));
    if (!open[id]) {
      kv.open(id, requests[id], requests[id].input);
      open[id] = kv.extend(id, requests[id].input);
      if (open[id])
        kv.commit(id, requests[id].input);
      else
        kv.close(id);
    } else {
      kv.close(id);
      open[id] = false;
    }
    kv.check_invariants();
  }
  EXPECT_GT(kv.hit_tokens(), 0u);
}

} // namespace
} // namespace troupe::simulations::capacity
