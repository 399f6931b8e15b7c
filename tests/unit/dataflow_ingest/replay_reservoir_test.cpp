// The sample is uniform, exactly reproducible, and forgets what it is told to.
#include "dataflow/ingest/replay_reservoir.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace troupe::dataflow {
namespace {

schemas::learning_document numbered(uint64_t number, std::string domain = "d") {
  return {.offset = number,
          .id = "id" + std::to_string(number),
          .domain = std::move(domain),
          .text = "text " + std::to_string(number)};
}

std::vector<schemas::learning_document> slots_of(const replay_reservoir& reservoir) {
  return reservoir.save()[0].slots;
}

// For every document the chance to be kept is M / n. Over all seeds the counts must look like that:
// chi squared with n - 1 degrees of freedom, times 1 - M / n for drawing without putting back.
TEST(replay_reservoir, keeps_every_document_equally_often) {
  constexpr uint32_t kept = 8;
  constexpr uint64_t offered = 40;
  constexpr uint64_t seeds = 20'000;
  std::vector<uint64_t> counts(offered);
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    replay_reservoir reservoir({.documents_max = kept}, seed);
    for (uint64_t i = 0; i < offered; ++i) reservoir.offer(numbered(i));
    for (const auto& slot : slots_of(reservoir)) ++counts[slot.offset];
  }
  const double expected = double(seeds) * kept / offered;
  double chi = 0;
  for (const uint64_t count : counts)
    chi += (double(count) - expected) * (double(count) - expected) / expected;
  chi /= 1 - double(kept) / offered;
  EXPECT_LT(chi, 72.1); // one in a thousand, 39 degrees of freedom
  EXPECT_GT(chi, 14.0); // too even would be wrong as well
}

TEST(replay_reservoir, draws_every_kept_document_equally_often) {
  replay_reservoir reservoir({.documents_max = 10}, 3);
  for (uint64_t i = 0; i < 10; ++i) reservoir.offer(numbered(i));
  std::vector<uint64_t> counts(10);
  for (uint64_t n = 0; n < 10'000; ++n) ++counts[reservoir.draw(n, {})->offset];
  double chi = 0;
  for (const uint64_t count : counts) chi += (double(count) - 1000) * (double(count) - 1000) / 1000;
  EXPECT_LT(chi, 27.9); // one in a thousand, 9 degrees of freedom
}

TEST(replay_reservoir, goes_on_alike_after_a_restart_at_any_time) {
  for (uint64_t cut = 0; cut < 60; ++cut) {
    replay_reservoir whole({.documents_max = 10, .by_domain = true}, 5);
    replay_reservoir first({.documents_max = 10, .by_domain = true}, 5);
    replay_reservoir second({.documents_max = 10, .by_domain = true}, 5);
    const auto domain_of = [](uint64_t i) { return i % 3 == 0 ? std::string("z") : "a"; };
    for (uint64_t i = 0; i < 60; ++i) {
      if (i == cut) {
        ASSERT_TRUE(second.restore(first.save()).ok());
      }
      whole.offer(numbered(i, domain_of(i)));
      (i < cut ? first : second).offer(numbered(i, domain_of(i)));
    }
    ASSERT_EQ(whole.save(), second.save()) << cut;
    for (uint64_t n = 0; n < 20; ++n) ASSERT_EQ(*whole.draw(n, {}), *second.draw(n, {}));
  }
}

TEST(replay_reservoir, forgets_the_documents_of_an_id) {
  replay_reservoir reservoir({.documents_max = 10}, 1);
  for (uint64_t i = 0; i < 10; ++i) reservoir.offer(numbered(i));
  EXPECT_EQ(reservoir.erase("id4"), 1u);
  EXPECT_EQ(reservoir.erase("id4"), 0u);
  EXPECT_EQ(reservoir.erase(""), 0u);
  EXPECT_EQ(reservoir.documents(), 9u);
  for (uint64_t n = 0; n < 1000; ++n) ASSERT_NE(reservoir.draw(n, {})->offset, 4u);
  for (const auto& slot : slots_of(reservoir)) EXPECT_NE(slot.text, "text 4");
}

TEST(replay_reservoir, domains_of_their_own_are_drawn_by_weight) {
  replay_reservoir reservoir({.documents_max = 5, .by_domain = true}, 2);
  for (uint64_t i = 0; i < 1000; ++i) reservoir.offer(numbered(i, i < 990 ? "many" : "few"));
  EXPECT_EQ(reservoir.documents(), 10u);
  const auto share_of_few = [&](const std::map<std::string, uint64_t, std::less<>>& weights) {
    int few = 0;
    for (uint64_t n = 0; n < 10'000; ++n)
      few += reservoir.draw(n, weights)->domain == "few" ? 1 : 0;
    return few;
  };
  EXPECT_NEAR(share_of_few({}), 5000, 200);
  EXPECT_NEAR(share_of_few({{"many", 3}, {"few", 1}}), 2500, 200);
  EXPECT_EQ(share_of_few({{"few", 0}}), 0);
  EXPECT_EQ(reservoir.draw(1, {{"few", 0}, {"many", 0}}), nullptr);
}

TEST(replay_reservoir, keeps_a_part_of_a_long_document) {
  replay_reservoir reservoir({.documents_max = 100, .bytes_max = 10}, 2);
  std::string umlauts;
  for (int i = 0; i < 50; ++i) umlauts += "\u00E4";
  std::set<std::string> parts;
  for (uint64_t i = 0; i < 50; ++i) {
    auto long_one = numbered(i);
    long_one.text = "x" + umlauts + std::to_string(i);
    reservoir.offer(long_one);
  }
  for (const auto& slot : slots_of(reservoir)) {
    EXPECT_LE(slot.text.size(), 10u);
    EXPECT_GE(slot.text.size(), 8u);
    EXPECT_NE(static_cast<uint8_t>(slot.text[0]) & 0xC0, 0x80);
  }
}

TEST(replay_reservoir, refuses_a_state_of_another_size) {
  replay_reservoir reservoir({.documents_max = 4}, 1);
  std::vector<schemas::learning_reservoir> state = {{.domain = "", .offered = 9, .slots = {}}};
  EXPECT_EQ(reservoir.restore(state).code(), status_code::corrupt);
  state[0].slots.resize(4);
  EXPECT_TRUE(reservoir.restore(state).ok());
  state.push_back(state[0]);
  EXPECT_EQ(reservoir.restore(state).code(), status_code::corrupt);
}

} // namespace
} // namespace troupe::dataflow
