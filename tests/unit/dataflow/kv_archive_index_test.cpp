// The books of the pages on a disk: room, order, and chains whose middle is missing.
#include "dataflow/kv_archive_index.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

class kv_archive_index_test : public testing::Test {
protected:
  kv_archive_index index{40};
  std::vector<archived_page> removed;

  bool add(uint64_t chain, uint64_t parent = 0, uint64_t bytes = 10) {
    removed.clear();
    const bool out = index.add(
        {.chain = chain, .parent = parent, .number = index.next_number(), .bytes = bytes}, removed);
    index.check_invariants();
    return out;
  }
  std::vector<uint64_t> gone() const {
    std::vector<uint64_t> out;
    for (const auto& page : removed) out.push_back(page.chain);
    return out;
  }
};

using chains = std::vector<uint64_t>;

TEST_F(kv_archive_index_test, the_least_recently_used_goes_first) {
  for (const uint64_t chain : {1, 2, 3, 4}) EXPECT_TRUE(add(chain));
  index.touch(1);
  EXPECT_TRUE(add(5));
  EXPECT_EQ(gone(), chains{2});
  EXPECT_NE(index.find(1), nullptr);
  EXPECT_EQ(index.find(2), nullptr);
  EXPECT_EQ(index.bytes(), 40u);
}

TEST_F(kv_archive_index_test, a_beginning_outlives_what_continues_it) {
  EXPECT_TRUE(add(1));
  EXPECT_TRUE(add(2, 1));
  EXPECT_TRUE(add(3, 2));
  EXPECT_TRUE(add(9));
  index.touch(3);
  EXPECT_TRUE(add(10, 0, 20));
  EXPECT_EQ(gone(), (chains{9, 3}));
}

TEST_F(kv_archive_index_test, a_page_does_not_make_room_with_its_own_beginning) {
  EXPECT_TRUE(add(1));
  EXPECT_TRUE(add(2, 1));
  EXPECT_TRUE(add(3, 2));
  EXPECT_TRUE(add(4, 3));
  EXPECT_FALSE(add(5, 4));
  EXPECT_TRUE(removed.empty());
  EXPECT_FALSE(add(6, 0, 41));
  EXPECT_EQ(index.pages(), 4u);
}

TEST_F(kv_archive_index_test, a_chain_with_a_hole_is_mended) {
  EXPECT_TRUE(add(1));
  EXPECT_TRUE(add(2, 1));
  EXPECT_TRUE(add(3, 2));
  index.remove(2);
  index.check_invariants();
  index.remove(2);
  EXPECT_TRUE(add(2, 1));
  EXPECT_TRUE(add(8));
  EXPECT_TRUE(add(9));
  EXPECT_EQ(gone(), chains{3}); // still hangs on 2
}

TEST(kv_archive_index_property_test, the_books_balance_whatever_happens) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    uint64_t n = 0;
    const auto below = [&](uint64_t bound) {
      return random_below({seed, random_subsystem::workload, 0}, n++, bound);
    };
    kv_archive_index index(300);
    std::vector<archived_page> removed;
    uint64_t evicted = 0;
    for (int step = 0; step < 4000; ++step) {
      const uint64_t chain = 1 + below(60);
      if (index.find(chain) == nullptr) {
        removed.clear();
        (void)index.add({.chain = chain,
                         .parent = chain / 2,
                         .number = index.next_number(),
                         .bytes = 1 + below(40)},
                        removed);
        for (const auto& page : removed) ASSERT_EQ(index.find(page.chain), nullptr);
        evicted += removed.size();
      } else if (below(4) == 0) {
        index.remove(chain);
      } else {
        index.touch(chain);
      }
      index.check_invariants();
    }
    EXPECT_GT(evicted, 500u);
  }
}

} // namespace
} // namespace troupe::dataflow
