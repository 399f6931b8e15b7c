// The order in which waiting documents are learnt from.
#include "dataflow/ingest/mixing_rules.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe::dataflow {
namespace {

waiting_document waits(uint64_t offset, std::string domain, size_t tokens = 10,
                       uint64_t difficulty = 0) {
  return {.document = {.offset = offset, .id = {}, .domain = std::move(domain), .text = "x"},
          .tokens = std::vector<int32_t>(tokens),
          .difficulty = difficulty};
}

size_t choice(const std::vector<waiting_document>& among, const mixing_settings& settings) {
  return choose_next(among, {}, settings, 1, 0).index;
}

TEST(mixing_rules, without_wishes_documents_come_as_they_came) {
  const std::vector<waiting_document> among = {waits(0, "b"), waits(1, "a", 1), waits(2, "a", 2)};
  const auto chosen = choose_next(among, {}, {}, 1, 0);
  EXPECT_EQ(chosen.index, 0u);
  EXPECT_FALSE(chosen.drew);
}

TEST(mixing_rules, a_curriculum_takes_the_shortest_or_easiest) {
  const std::vector<waiting_document> among = {waits(0, "a", 30, 5), waits(1, "a", 20, 9),
                                               waits(2, "a", 20, 3), waits(3, "a", 40, 3)};
  EXPECT_EQ(choice(among, {.order = curriculum::length}), 1u);
  EXPECT_EQ(choice(among, {.order = curriculum::difficulty}), 2u);
}

TEST(mixing_rules, nobody_waits_for_ever) {
  std::vector<waiting_document> among = {waits(0, "a", 1000), waits(256, "a", 1)};
  EXPECT_EQ(choice(among, {.order = curriculum::length}), 1u);
  among[1].document.offset = 257;
  EXPECT_EQ(choice(among, {.order = curriculum::length}), 0u);
}

TEST(mixing_rules, domains_come_as_often_as_their_weights_and_counts_say) {
  const std::vector<waiting_document> among = {waits(0, "big"), waits(1, "small")};
  const std::map<std::string, uint64_t, std::less<>> accepted = {{"big", 900}, {"small", 100}};
  const auto small_in_10000 = [&](const mixing_settings& settings) {
    int small = 0;
    for (uint64_t n = 0; n < 10'000; ++n)
      small += choose_next(among, accepted, settings, 7, n).index == 1 ? 1 : 0;
    return small;
  };
  EXPECT_NEAR(small_in_10000({.temperature = 0}), 5000, 200);
  EXPECT_NEAR(small_in_10000({.temperature = 500}), 2500, 200); // 10 against 30
  EXPECT_NEAR(small_in_10000({.weights = {{"small", 9 * weight_one}}}), 5000, 200);
  EXPECT_NEAR(small_in_10000({.weights = {{"big", 3 * weight_one}}, .temperature = 0}), 2500, 200);
  EXPECT_EQ(small_in_10000({.weights = {{"small", 0}}}), 0);
  const std::vector<waiting_document> only = {waits(1, "small")};
  EXPECT_EQ(choose_next(only, accepted, {.weights = {{"small", 0}}}, 7, 0).index, 0u);
}

TEST(mixing_rules, powers_are_right_to_a_millionth) {
  for (const double x : {1.0, 2.0, 10.0, 12345.0, 1e9})
    for (const uint32_t power : {0u, 1u, 300u, 500u, 700u, 999u, 1000u, 1500u})
      EXPECT_NEAR(fixed_power(x, power) / std::pow(x, power / 1000.0), 1, 3e-6)
          << x << " " << power;
}

} // namespace
} // namespace troupe::dataflow
