// The checksum notices every small change and is the same everywhere.
#include "schemas/checksum.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <vector>

namespace troupe::schemas {
namespace {

std::vector<std::byte> counting(size_t size) {
  std::vector<std::byte> out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 7 + 3);
  return out;
}

TEST(checksum, sees_every_bit_at_every_length) {
  for (const size_t size : {1, 7, 8, 9, 31, 32, 33, 67, 128}) {
    auto bytes = counting(size);
    const uint64_t original = checksum_of(bytes);
    for (size_t bit = 0; bit < size * 8; ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
      EXPECT_NE(checksum_of(bytes), original) << size << " bytes, bit " << bit;
      bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    }
    EXPECT_EQ(checksum_of(bytes), original);
  }
}

TEST(checksum, sees_the_length) {
  std::set<uint64_t> seen;
  for (size_t size = 0; size < 200; ++size) {
    EXPECT_TRUE(seen.insert(checksum_of(std::vector<std::byte>(size))).second) << size;
  }
}

TEST(checksum, sees_words_that_change_places) {
  const auto original = counting(96);
  for (size_t a = 0; a < 12; ++a) {
    for (size_t b = a + 1; b < 12; ++b) {
      auto bytes = original;
      for (size_t i = 0; i < 8; ++i) std::swap(bytes[a * 8 + i], bytes[b * 8 + i]);
      EXPECT_NE(checksum_of(bytes), checksum_of(original)) << a << " and " << b;
    }
  }
}

TEST(checksum, needs_no_alignment) {
  const auto bytes = counting(100);
  std::vector<std::byte> shifted(101);
  std::copy(bytes.begin(), bytes.end(), shifted.begin() + 1);
  EXPECT_EQ(checksum_of(std::span(shifted).subspan(1)), checksum_of(bytes));
}

TEST(checksum, is_pinned_because_nodes_of_different_builds_must_agree) {
  EXPECT_EQ(checksum_of({}), uint64_t{6648252959532613250u});
  EXPECT_EQ(checksum_of(counting(5)), uint64_t{8613230769417832949u});
  EXPECT_EQ(checksum_of(counting(67)), uint64_t{13079472939444708199u});
}

} // namespace
} // namespace troupe::schemas
