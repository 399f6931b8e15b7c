// No number of a start is ever used twice.
#include "storage/node_store.hpp"

#include "tests/unit/storage/crashing_disk.hpp"

#include <gtest/gtest.h>

namespace troupe::storage {
namespace {

using trouble = crashing_disk::trouble;

TEST(node_store, counts_the_starts) {
  crashing_disk folder;
  for (uint64_t start = 1; start <= 5; ++start) {
    EXPECT_EQ(*node_store(folder).next_incarnation(), start);
    folder.restart({lost_power::contents::lost, false});
  }
  EXPECT_EQ(*node_store(folder).load(), 5u);
}

TEST(node_store, begins_at_one_without_a_file) {
  crashing_disk folder;
  EXPECT_EQ(node_store(folder).load().error().code(), status_code::not_found);
  EXPECT_EQ(*node_store(folder).next_incarnation(), 1u);
}

TEST(node_store, goes_on_from_a_number_stored_by_hand) {
  crashing_disk folder;
  ASSERT_TRUE(node_store(folder).store(uint64_t{1} << 60).ok());
  EXPECT_EQ(*node_store(folder).next_incarnation(), (uint64_t{1} << 60) + 1);
}

TEST(node_store, after_a_crash_no_number_handed_out_comes_again) {
  for (const auto what : {trouble::crashes_before, trouble::crashes_after}) {
    for (const auto bytes : {lost_power::contents::lost, lost_power::contents::torn}) {
      bool crashed = true;
      for (int at = 0; crashed; ++at) {
        crashing_disk folder;
        node_store node(folder);
        ASSERT_TRUE(node.store(6).ok());
        folder.plan(what, at);
        const auto handed_out = node.next_incarnation();
        crashed = folder.crashed();
        folder.restart({bytes, at % 2 == 0});
        const auto next = node.next_incarnation();
        ASSERT_TRUE(next.has_value()) << next.error().why();
        EXPECT_GT(*next, handed_out ? *handed_out : 6) << at;
      }
    }
  }
}

TEST(node_store, a_damaged_file_is_an_error_and_stays) {
  crashing_disk folder;
  ASSERT_TRUE(node_store(folder).store(6).ok());
  const auto whole = *folder.read("incarnation");
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    auto damaged = whole;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    ASSERT_TRUE(folder.write("incarnation", damaged).ok());
    const auto next = node_store(folder).next_incarnation();
    ASSERT_FALSE(next.has_value()) << bit;
    EXPECT_EQ(next.error().code(), status_code::corrupt);
    EXPECT_EQ(*folder.read("incarnation"), damaged);
  }
}

TEST(node_store, there_is_nothing_after_the_last_number) {
  crashing_disk folder;
  ASSERT_TRUE(node_store(folder).store(UINT64_MAX).ok());
  EXPECT_EQ(node_store(folder).next_incarnation().error().code(), status_code::exhausted);
}

TEST(node_store, what_the_disk_refuses_is_said) {
  for (const int at : {0, 2, 3, 4, 5}) { // 1 removes what is left over
    crashing_disk folder;
    ASSERT_TRUE(node_store(folder).store(6).ok());
    folder.plan(trouble::fails, at);
    EXPECT_EQ(node_store(folder).next_incarnation().error().code(), status_code::unavailable) << at;
  }
}

} // namespace
} // namespace troupe::storage
