// The gate and the canary: what a version must show, and what it is refused for.
#include "dataflow/promotion.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace troupe::dataflow {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinite = std::numeric_limits<double>::infinity();

const version_figures parent{{{"tales", 1.5}, {"german", 4.0}}, 0.5, true};

version_figures with(double tales, double german) {
  return {{{"tales", tales}, {"german", german}}, 0.5, true};
}

TEST(promotion_gate, lets_pass_what_is_no_worse_anywhere) {
  EXPECT_TRUE(gate(parent, with(1.5, 2.0), {}).empty());
  EXPECT_TRUE(gate(parent, with(1.51, 2.0), {.epsilon = 0.01}).empty());
  EXPECT_TRUE(gate({}, with(9, 9), {}).empty()) << "nothing is known of a first version's parent";
}

TEST(promotion_gate, names_every_domain_that_got_worse) {
  const auto why = gate(parent, with(1.52, 4.5), {.epsilon = 0.01});
  ASSERT_EQ(why.size(), 2u);
  EXPECT_EQ(why[0], "domain tales: 1.52 bits per byte; its parent has 1.5 and may lose 0.01");
  EXPECT_EQ(why[1], "domain german: 4.5 bits per byte; its parent has 4 and may lose 0.01");
}

TEST(promotion_gate, a_figure_that_is_no_number_never_passes) {
  for (const double bad : {nan, infinite, -infinite}) {
    EXPECT_FALSE(gate(parent, with(bad, 2), {}).empty());
    EXPECT_FALSE(gate({}, {{{"new", bad}}, 0, true}, {}).empty());
    EXPECT_FALSE(gate({}, {{}, bad, true}, {}).empty());
  }
  EXPECT_FALSE(gate(parent, {parent.held_out, 0, false}, {}).empty());
}

TEST(promotion_gate, a_domain_that_was_not_measured_again_is_a_reason) {
  const auto why = gate(parent, {{{"tales", 1.0}}, 0, true}, {});
  ASSERT_EQ(why.size(), 1u);
  EXPECT_EQ(why[0], "domain german: was measured of the parent, not of it");
  EXPECT_TRUE(gate(parent, {{{"tales", 1}, {"german", 1}, {"code", 9}}, 0, true}, {}).empty());
}

TEST(promotion_gate, bounds_the_imbalance_when_asked_to) {
  EXPECT_TRUE(gate({}, {{}, 3, true}, {}).empty());
  EXPECT_TRUE(gate({}, {{}, 3, true}, {.imbalance_max = 3}).empty());
  EXPECT_FALSE(gate({}, {{}, 3.1, true}, {.imbalance_max = 3}).empty());
}

TEST(promotion_canary, is_a_share_of_the_requests_that_only_grows) {
  int among[3] = {};
  for (int n = 0; n < 10000; ++n) {
    const std::string id = "cmpl-" + std::to_string(n);
    EXPECT_FALSE(in_canary(id, 0));
    EXPECT_TRUE(in_canary(id, 100));
    const bool few = in_canary(id, 5), many = in_canary(id, 30);
    EXPECT_TRUE(many || !few) << "what is among 5 % is among 30 %";
    EXPECT_EQ(few, in_canary(id, 5));
    among[0] += few;
    among[1] += many;
  }
  EXPECT_NEAR(among[0], 500, 100);
  EXPECT_NEAR(among[1], 3000, 200);
}

TEST(promotion_canary, one_failure_is_too_many_and_answers_alone_let_it_pass) {
  const canary_limits limits{.percent = 5, .answers_min = 10};
  EXPECT_EQ(judge({0, 0}, limits), canary_verdict::watching);
  EXPECT_EQ(judge({9, 0}, limits), canary_verdict::watching);
  EXPECT_EQ(judge({10, 0}, limits), canary_verdict::passed);
  EXPECT_EQ(judge({1000, 1}, limits), canary_verdict::failed);
}

} // namespace
} // namespace troupe::dataflow
