// Popularity of experts.
#include "simulations/capacity/routing.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::simulations::capacity {
namespace {

TEST(routing, every_layer_gives_each_token_its_experts) {
  for (const double skew : {0.0, 0.5, 1.0, 3.0}) {
    routing spread(3, 64, 8, {.skew = skew}, 1);
    for (int period = 0; period < 3; ++period, spread.drift()) {
      for (uint32_t layer = 0; layer < 3; ++layer) {
        double sum = 0;
        for (uint32_t n = 0; n < 64; ++n) {
          EXPECT_LE(spread.probability(layer, n), 1 + 1e-12);
          sum += spread.probability(layer, n);
        }
        EXPECT_NEAR(sum, 8, 1e-9) << skew;
      }
    }
  }
}

TEST(routing, without_skew_all_are_alike_and_with_it_layers_differ) {
  const routing even(2, 16, 2, {.skew = 0}, 1);
  EXPECT_NEAR(even.probability(1, 7), 0.125, 1e-12);
  const routing skewed(2, 16, 2, {.skew = 1}, 1);
  uint32_t same = 0;
  for (uint32_t n = 0; n < 16; ++n)
    if (skewed.probability(0, n) == skewed.probability(1, n)) ++same;
  EXPECT_LT(same, 16u);
}

TEST(routing, the_hot_set_drifts_slowly) {
  routing drifting(1, 128, 8, {.skew = 1, .moved_share = 0.1}, 1);
  std::vector<double> before;
  for (uint32_t n = 0; n < 128; ++n) before.push_back(drifting.probability(0, n));
  drifting.drift();
  uint32_t moved = 0;
  for (uint32_t n = 0; n < 128; ++n)
    if (drifting.probability(0, n) != before[n]) ++moved;
  EXPECT_GT(moved, 0u);
  EXPECT_LE(moved, 13u);
}

} // namespace
} // namespace troupe::simulations::capacity
