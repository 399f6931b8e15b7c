// Traces: reproducible, in order, as much as was asked for.
#include "simulations/capacity/trace.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::simulations::capacity {
namespace {

std::vector<trace_request> make(std::string_view name, double load, uint64_t seed) {
  return generate_trace(*trace_profile_named(name),
                        {.load = load, .span = 3600 * second_ns, .seed = seed});
}

TEST(trace, the_same_seed_gives_the_same_requests) {
  const auto a = make("mooncake_conversation", 1.5, 9), b = make("mooncake_conversation", 1.5, 9);
  ASSERT_EQ(a.size(), b.size());
  for (size_t n = 0; n < a.size(); ++n) {
    ASSERT_EQ(a[n].arrives, b[n].arrives);
    ASSERT_EQ(a[n].input, b[n].input);
    ASSERT_EQ(a[n].session, b[n].session);
  }
  EXPECT_NE(make("mooncake_conversation", 1.5, 10)[0].arrives, a[0].arrives);
}

TEST(trace, requests_are_ordered_and_within_the_span) {
  for (const auto& name : trace_profile_names()) {
    const auto requests = make(name, 1, 3);
    ASSERT_FALSE(requests.empty());
    EXPECT_TRUE(std::is_sorted(requests.begin(), requests.end(),
                               [](const auto& a, const auto& b) { return a.arrives < b.arrives; }));
    for (const auto& each : requests) {
      ASSERT_TRUE(each.arrives >= 0 && each.arrives <= 3600 * second_ns);
      ASSERT_TRUE(each.input >= 1 && each.output >= 1 && each.shared <= each.input);
    }
  }
}

TEST(trace, load_multiplies_the_rate) {
  const double one = double(make("azure_conversation", 1, 1).size());
  EXPECT_NEAR(double(make("azure_conversation", 4, 1).size()) / one, 4, 0.2);
  EXPECT_NEAR(double(make("azure_conversation", 0.25, 1).size()) / one, 0.25, 0.03);
}

TEST(trace, a_follow_up_repeats_what_its_conversation_had) {
  const auto requests = make("mooncake_conversation", 1, 1);
  std::vector<uint32_t> longest(requests.size() + 1, 0);
  uint32_t follow_ups = 0;
  for (const auto& each : requests) {
    if (longest[each.session] > 0) {
      ++follow_ups;
      EXPECT_EQ(each.shared, longest[each.session]);
    }
    longest[each.session] = each.input;
  }
  EXPECT_GT(follow_ups, requests.size() / 10);
}

TEST(trace, lengths_follow_the_table) {
  const length_table table = {{0, 10}, {0.5, 100}, {0.6, 100}, {1, 1000}};
  EXPECT_EQ(length_at(table, 0), 10u);
  EXPECT_EQ(length_at(table, 0.25), 32u); // the geometric middle
  EXPECT_EQ(length_at(table, 0.55), 100u);
  EXPECT_EQ(length_at(table, 1), 1000u);
  EXPECT_NEAR(table_mean(table), 0.5 * 90 / 2.302585 + 10 + 0.4 * 900 / 2.302585, 0.01);
}

TEST(trace, an_unknown_name_gets_the_nearest) {
  const auto wrong = trace_profile_named("azure_cod");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_NE(wrong.error().why().find("did you mean azure_code?"), std::string::npos);
}

} // namespace
} // namespace troupe::simulations::capacity
