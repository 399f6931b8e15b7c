// Routing: rules by hand-made examples, and agreement of all implementations on random ones.
#include "tests/unit/compute/kernels_fixture.hpp"

#include <limits>

namespace troupe::compute {
namespace {

using test::matrix;
using test::same_bits;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class route_test : public test::kernels_test {
protected:
  struct choice {
    std::vector<int32_t> ids;
    std::vector<float> weights;
  };

  // All implementations must agree on ids and on the bits of the weights.
  static choice route(const router_rule& rule, const matrix& logits,
                      std::span<const float> bias = {}) {
    const uint32_t rows = logits.rows();
    // Ids travel through the comparison as floats, weights beside them.
    const matrix y = all_agree(matrix(rows, 2 * rule.top_k), [&](kernels& k, matrix& out) {
      std::vector<int32_t> ids(rows * rule.top_k);
      std::vector<float> weights(rows * rule.top_k);
      k.route(
          {.rule = rule, .logits = logits.view(), .bias = bias, .ids = ids, .weights = weights});
      for (uint32_t r = 0; r < rows; ++r) {
        for (uint32_t j = 0; j < rule.top_k; ++j) {
          out.at(r, j) = static_cast<float>(ids[r * rule.top_k + j]);
          out.at(r, rule.top_k + j) = weights[r * rule.top_k + j];
        }
      }
    });
    choice made;
    for (uint32_t r = 0; r < rows; ++r) {
      for (uint32_t j = 0; j < rule.top_k; ++j) {
        made.ids.push_back(static_cast<int32_t>(y.at(r, j)));
        made.weights.push_back(y.at(r, rule.top_k + j));
      }
    }
    return made;
  }
  static matrix row(std::vector<float> values) {
    matrix made(1, static_cast<uint32_t>(values.size()));
    for (uint32_t c = 0; c < made.cols(); ++c) made.at(0, c) = values[c];
    return made;
  }
  using ids = std::vector<int32_t>;
};

TEST_F(route_test, softmax_takes_the_best_first) {
  const auto made = route({.experts = 4, .top_k = 2}, row({0, 2, 1, -1}));
  EXPECT_EQ(made.ids, (ids{1, 2}));
  const double sum = 1 + std::exp(2.0) + std::exp(1.0) + std::exp(-1.0);
  EXPECT_NEAR(made.weights[0], std::exp(2.0) / sum, 1e-6);
  EXPECT_NEAR(made.weights[1], std::exp(1.0) / sum, 1e-6);
}

TEST_F(route_test, normalised_weights_add_up_to_the_scale) {
  const auto made = route({.score = router_score::sigmoid,
                           .experts = 5,
                           .top_k = 3,
                           .normalise = true,
                           .normalise_eps = 1e-20f,
                           .scale = 2.5f},
                          row({0, 2, 1, -1, 3}));
  EXPECT_EQ(made.ids, (ids{4, 1, 2}));
  EXPECT_NEAR(made.weights[0] + made.weights[1] + made.weights[2], 2.5, 1e-6);
}

TEST_F(route_test, softmax_of_the_chosen_ignores_the_others) {
  const auto made = route({.score = router_score::softmax_of_chosen, .experts = 4, .top_k = 2},
                          row({5, 100, 101, 99}));
  EXPECT_EQ(made.ids, (ids{2, 1}));
  EXPECT_NEAR(made.weights[0], 1 / (1 + std::exp(-1.0)), 1e-6);
}

TEST_F(route_test, equal_scores_go_to_the_lower_expert) {
  EXPECT_EQ(route({.experts = 6, .top_k = 4}, row({1, 3, 1, 3, 3, 1})).ids, (ids{1, 3, 4, 0}));
}

TEST_F(route_test, the_bias_changes_the_choice_and_not_the_weights) {
  const std::vector<float> bias = {10, 0, 0, 0};
  const auto made =
      route({.score = router_score::sigmoid, .experts = 4, .top_k = 2}, row({-3, 2, 1, 0}), bias);
  EXPECT_EQ(made.ids, (ids{0, 1}));
  EXPECT_NEAR(made.weights[0], 1 / (1 + std::exp(3.0)), 1e-7);
}

TEST_F(route_test, groups_limit_the_choice) {
  const matrix logits = row({9, -9, /**/ 5, 5, /**/ 6, 3});
  router_rule rule{.score = router_score::softmax_of_chosen,
                   .experts = 6,
                   .top_k = 2,
                   .groups = 3,
                   .groups_kept = 1,
                   .masked_to_zero = false};
  EXPECT_EQ(route(rule, logits).ids, (ids{0, 1})) << "the best single expert";
  rule.group_by = group_score::sum_of_top_2;
  EXPECT_EQ(route(rule, logits).ids, (ids{2, 3})) << "the best pair";
  rule.groups_kept = 2;
  rule.top_k = 4;
  EXPECT_EQ(route(rule, logits).ids, (ids{4, 2, 3, 5}));
}

TEST_F(route_test, masked_experts_count_as_zero_where_the_model_does_so) {
  // The kept group holds a negative choice, which loses to the zero of a masked expert.
  const std::vector<float> bias = {5, -5, 0, 0};
  router_rule rule{
      .score = router_score::sigmoid, .experts = 4, .top_k = 2, .groups = 2, .groups_kept = 1};
  EXPECT_EQ(route(rule, row({0, 0, 0, 0}), bias).ids, (ids{0, 2}));
  rule.masked_to_zero = false;
  EXPECT_EQ(route(rule, row({0, 0, 0, 0}), bias).ids, (ids{0, 1}));
}

TEST_F(route_test, one_expert_is_always_chosen) {
  const auto made = route({.experts = 1, .top_k = 1}, row({-7}));
  EXPECT_EQ(made.ids, (ids{0}));
  EXPECT_EQ(made.weights[0], 1.0f);
}

TEST_F(route_test, logits_that_are_no_numbers_come_last) {
  const auto made = route({.score = router_score::sigmoid, .experts = 5, .top_k = 4},
                          row({nan, -50, nan, 3, -200}));
  EXPECT_EQ(made.ids, (ids{3, 1, 4, 0}));
  const auto none = route({.experts = 3, .top_k = 3}, row({nan, nan, nan}));
  EXPECT_EQ(none.ids, (ids{0, 1, 2}));
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(route({.score = router_score::softmax_of_chosen, .experts = 3, .top_k = 3},
                  row({-infinity, infinity, 0}))
                .ids,
            (ids{1, 2, 0}));
}

TEST_F(route_test, all_implementations_agree_on_random_rules) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const auto pick = [&](uint64_t n, uint64_t below) {
      return static_cast<uint32_t>(random_below(
          {.seed = seed, .subsystem = random_subsystem::workload, .entity = 1}, n, below));
    };
    router_rule rule;
    rule.score = static_cast<router_score>(pick(0, 3));
    rule.groups = 1 + pick(1, 8);
    rule.groups_kept = 1 + pick(2, rule.groups);
    const uint32_t size = 1 + pick(3, 20);
    rule.experts = rule.groups * size;
    rule.group_by = static_cast<group_score>(pick(4, 2));
    rule.masked_to_zero = pick(5, 2) == 0;
    rule.normalise = pick(6, 2) == 0;
    rule.scale = 1.5f;
    rule.top_k =
        1 + pick(7, std::min(12u, rule.masked_to_zero ? rule.experts : size * rule.groups_kept));
    matrix logits = matrix::random(9, rule.experts, seed, 4);
    for (uint32_t c = 0; c < rule.experts; ++c) { // many ties
      logits.at(1, c) = std::floor(logits.at(1, c));
      if (c % 3 == 0) logits.at(2, c) = nan;
    }
    std::vector<float> bias(rule.experts);
    for (uint32_t e = 0; e < rule.experts; ++e) bias[e] = test::draw(seed + 9, e);
    const bool biased = pick(8, 2) == 0;
    const auto made =
        route(rule, logits, biased ? std::span<const float>(bias) : std::span<const float>());
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
    for (uint32_t r = 0; r < 9; ++r) { // no expert twice
      for (uint32_t j = 0; j < rule.top_k; ++j) {
        for (uint32_t i = 0; i < j; ++i) {
          ASSERT_NE(made.ids[r * rule.top_k + i], made.ids[r * rule.top_k + j]);
        }
      }
    }
  }
}

} // namespace
} // namespace troupe::compute
