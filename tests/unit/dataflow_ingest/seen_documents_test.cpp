// The index of fingerprints against a plain list.
#include "dataflow/ingest/seen_documents.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <deque>

namespace troupe::dataflow {
namespace {

constexpr random_key key{.seed = 7, .subsystem = random_subsystem::workload, .entity = 3};

// Few different ones, many of them near each other.
text_fingerprint drawn(uint64_t n) {
  text_fingerprint out{.exact = random_below(key, 3 * n, 400), .similar = 0, .words = 100};
  out.similar = (random_below(key, 3 * n + 1, 50) + 1) * 0x9E3779B97F4A7C15u;
  for (uint64_t flips = random_bits(key, 3 * n + 2), i = 0; i < flips % 6; ++i)
    out.similar ^= uint64_t{1} << (flips >> (8 + 6 * i) & 63);
  return out;
}

TEST(seen_documents, finds_what_a_plain_list_finds) {
  seen_documents seen(100);
  std::deque<seen_document> list;
  int exact = 0;
  int near = 0;
  for (uint64_t n = 0; n < 2000; ++n) {
    const auto print = drawn(n);
    std::optional<uint64_t> same, alike; // offsets of the youngest
    for (const auto& each : list) {
      if (each.exact == print.exact) same = each.offset;
      if (bits_apart(each.similar, print.similar) <= 3) alike = each.offset;
    }
    const auto found = seen.find(print, true, 3);
    ASSERT_EQ(found.has_value(), same.has_value() || alike.has_value()) << n;
    if (found) {
      EXPECT_EQ(found->exact, same.has_value());
      EXPECT_EQ(found->offset, same ? *same : *alike);
      ++(same ? exact : near);
    }
    EXPECT_EQ(seen.find(print, false, 3).has_value(), same.has_value());
    seen.add(print, n);
    list.push_back({print.exact, print.similar, n});
    if (list.size() > 100) list.pop_front();
  }
  EXPECT_GT(exact, 50);
  EXPECT_GT(near, 50);
  EXPECT_EQ(seen.forgotten(), 1900u);
}

TEST(seen_documents, go_on_alike_after_a_restart_at_any_time) {
  for (const uint64_t cut : {0u, 1u, 63u, 64u, 65u, 200u, 1000u}) {
    seen_documents first(64);
    for (uint64_t n = 0; n < cut; ++n) first.add(drawn(n), n);
    seen_documents second(64);
    ASSERT_TRUE(second.restore(first.documents(), first.added()).ok());
    for (uint64_t n = cut; n < cut + 200; ++n) {
      const auto a = first.find(drawn(n), true, 3);
      const auto b = second.find(drawn(n), true, 3);
      ASSERT_EQ(a.has_value(), b.has_value());
      if (a) {
        ASSERT_EQ(a->offset, b->offset);
      }
      first.add(drawn(n), n);
      second.add(drawn(n), n);
    }
    EXPECT_EQ(first.documents(), second.documents());
  }
}

TEST(seen_documents, refuse_what_does_not_fit_their_room) {
  seen_documents seen(4);
  const std::vector<seen_document> three(3);
  EXPECT_EQ(seen.restore(three, 9).code(), status_code::corrupt);
  EXPECT_EQ(seen.restore(three, 2).code(), status_code::corrupt);
  EXPECT_TRUE(seen.restore(three, 3).ok());
}

} // namespace
} // namespace troupe::dataflow
