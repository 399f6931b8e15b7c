// Keyed randomness: published vectors, independence of draws, range.
#include "base/random.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe {
namespace {

TEST(random_test, philox_agrees_with_the_published_vector) {
  // Known answer of Random123 for philox4x32-10, all-zero counter and key. Our words 2 and 3 carry
  // entity and subsystem, so subsystem 0 (nobody's) reaches the vector.
  const random_key zero{0, static_cast<random_subsystem>(0), 0};
  const std::array<uint32_t, 4> expected = {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u};
  EXPECT_EQ(random_block(zero, 0), expected);
}

TEST(random_test, draws_depend_on_every_part_of_the_key_and_on_nothing_else) {
  const random_key key{7, random_subsystem::sampling, 3};
  const uint64_t first = random_bits(key, 5);
  random_bits(key, 6);
  EXPECT_EQ(random_bits(key, 5), first);
  EXPECT_NE(random_bits({8, random_subsystem::sampling, 3}, 5), first);
  EXPECT_NE(random_bits({7, random_subsystem::faults, 3}, 5), first);
  EXPECT_NE(random_bits({7, random_subsystem::sampling, 4}, 5), first);
  EXPECT_NE(random_bits(key, 5 + (uint64_t{1} << 32)), first);
}

TEST(random_test, unit_and_below_stay_in_range_and_fill_it) {
  const random_key key{1, random_subsystem::workload, 0};
  std::set<uint64_t> seen;
  float sum = 0;
  for (uint64_t n = 0; n < 4096; ++n) {
    const float unit = random_unit(key, n);
    ASSERT_GE(unit, 0.0f);
    ASSERT_LT(unit, 1.0f);
    sum += unit;
    seen.insert(random_below(key, n, 10));
  }
  EXPECT_NEAR(sum / 4096, 0.5f, 0.02f);
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(*seen.rbegin(), 9u);
}

} // namespace
} // namespace troupe
