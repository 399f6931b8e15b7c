// Rates, shares and durations over many draws.
#include "simulations/capacity/failure_model.hpp"

#include "simulations/capacity/fixed_math.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace troupe::simulations::capacity {
namespace {

bool is_slow(const failure_event& event) {
  return event.kind == failure_kind::slow_compute || event.kind == failure_kind::slow_network;
}

class failure_rates : public testing::TestWithParam<std::string> {};

TEST_P(failure_rates, as_many_as_published) {
  const auto model = *failures_named(GetParam());
  const double days = 300;
  const auto events = draw_failures(
      model, {.nodes = 256, .span = static_cast<nanoseconds>(days * 86400e9), .scale = 10});
  const double expected = model.per_1000_node_days / 1000 * 256 * days * 10;
  const auto slow = double(std::count_if(events.begin(), events.end(), is_slow));
  EXPECT_NEAR(double(events.size()) - slow, expected, 4 * std::sqrt(expected) + 1e-9);
  EXPECT_NEAR(slow, expected, 4 * std::sqrt(expected) + 1e-9);
}

INSTANTIATE_TEST_SUITE_P(cases, failure_rates, testing::ValuesIn(failure_names()));

TEST(failure_model, kinds_and_hangs_have_their_shares) {
  const auto model = *failures_named("llama3");
  const auto events =
      draw_failures(model, {.nodes = 512, .span = nanoseconds(1000 * 86400e9), .scale = 20});
  std::map<failure_kind, double> count;
  double hangs = 0, all = 0;
  for (const auto& each : events) {
    if (is_slow(each)) continue;
    ++all;
    ++count[each.kind];
    if (each.hang) ++hangs;
  }
  EXPECT_NEAR(count[failure_kind::device] / all, 268.0 / 419, 0.01);
  EXPECT_NEAR(count[failure_kind::software] / all, 54.0 / 419, 0.01);
  EXPECT_NEAR(hangs / all, 0.12, 0.01);
}

TEST(failure_model, a_nodes_failures_do_not_depend_on_the_others) {
  const auto model = *failures_named("rsc1_large_jobs");
  const failure_draw_args args{.nodes = 8, .span = nanoseconds(400 * 86400e9)};
  auto more = args;
  more.nodes = 16;
  const auto few = draw_failures(model, args);
  auto many = draw_failures(model, more);
  std::erase_if(many, [](const failure_event& each) { return each.node >= 8; });
  std::vector<nanoseconds> a, b;
  for (const auto& each : few)
    if (each.kind != failure_kind::network_switch) a.push_back(each.at);
  for (const auto& each : many)
    if (each.kind != failure_kind::network_switch) b.push_back(each.at);
  EXPECT_EQ(a, b);
  EXPECT_FALSE(a.empty());
}

TEST(failure_model, restarts_take_seconds_swaps_minutes_and_repairs_hours) {
  auto model = *failures_named("llama3");
  const auto inside = [&](failure_kind kind, double low, double high) {
    draws draw(1, random_subsystem::faults, 1);
    int count = 0;
    for (int n = 0; n < 2000; ++n) {
      const double s = double(draw_failure(model, kind, draw).lasts) / 1e9;
      if (s >= low && s <= high) ++count;
    }
    return count / 2000.0;
  };
  EXPECT_NEAR(inside(failure_kind::software, 5, 60), 0.9, 0.03);
  EXPECT_NEAR(inside(failure_kind::device, 180, 900), 0.9, 0.03);
  model.spares = 0;
  EXPECT_NEAR(inside(failure_kind::device, 3600, 86400), 0.9, 0.03);
}

TEST(failure_model, refuses_shares_beyond_one_and_swapped_bounds) {
  auto model = *failures_named("llama3");
  model.software_share = 0.9;
  EXPECT_FALSE(validate(model).ok());
  model = *failures_named("llama3");
  model.swap_low_s = 1000;
  EXPECT_EQ(validate(model).why(), "failures: swap_low_s is above swap_high_s");
  EXPECT_FALSE(failures_named("llama4").has_value());
}

} // namespace
} // namespace troupe::simulations::capacity
