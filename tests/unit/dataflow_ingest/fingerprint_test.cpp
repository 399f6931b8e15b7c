// What makes texts the same, alike, or neither.
#include "dataflow/ingest/fingerprint.hpp"

#include "tests/unit/dataflow_ingest/texts.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

TEST(fingerprint, does_not_see_case_signs_and_space) {
  EXPECT_EQ(fingerprint_of("The wolf, the fox."), fingerprint_of("the WOLF\n-- the fox!"));
  EXPECT_NE(fingerprint_of("the wolf the fox").exact, fingerprint_of("the fox the wolf").exact);
  EXPECT_NE(fingerprint_of("--").exact, fingerprint_of("++").exact);
}

// Its value is part of states on disks, so it must never change.
TEST(fingerprint, is_pinned) {
  const auto print = fingerprint_of(english);
  EXPECT_EQ(print.words, 84u);
  EXPECT_EQ(print.exact, 2313629599656175357u);
  EXPECT_EQ(print.similar, 15239459382924288373u);
}

// A word changed in long texts moves few bits; unrelated texts lie about 32 apart.
TEST(fingerprint, like_texts_are_near_and_others_far) {
  uint32_t near = 0;
  uint32_t nearest_other = 64;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const std::string text = made_up(seed, 800);
    std::string changed = text;
    changed.replace(0, text.find(' '), "zzz");
    near += bits_apart(fingerprint_of(text).similar, fingerprint_of(changed).similar) <= 3 ? 1 : 0;
    const auto other = fingerprint_of(made_up(seed + 1000, 800)).similar;
    nearest_other = std::min(nearest_other, bits_apart(fingerprint_of(text).similar, other));
  }
  EXPECT_GE(near, 95u);
  EXPECT_GT(nearest_other, 10u);
}

} // namespace
} // namespace troupe::dataflow
