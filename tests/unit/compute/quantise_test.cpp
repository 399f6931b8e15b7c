// Blocks of activations and weights as the integer products see them.
#include "compute/quantise.hpp"

#include "tests/unit/compute/support.hpp"

#include <limits>

namespace troupe::compute {
namespace {

TEST(quantise, activations_are_off_by_at_most_half_a_step) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<float> x(quant_block);
    const float size = std::ldexp(1.0f, static_cast<int>(seed % 120) - 60);
    for (uint32_t i = 0; i < quant_block; ++i) x[i] = size * test::draw(seed, i);
    const auto count = static_cast<uint32_t>(1 + seed % quant_block);
    const activation_block made = quantise_activations(x.data(), count);
    int most = 0;
    for (uint32_t i = 0; i < quant_block; ++i) {
      if (i >= count) {
        EXPECT_EQ(made.values[i], 0);
      } else {
        EXPECT_LE(std::fabs(x[i] - made.scale * made.values[i]), made.scale * 0.50001f);
      }
      most = std::max(most, std::abs(int{made.values[i]}));
    }
    EXPECT_EQ(most, 127) << "the largest entry uses the whole range";
  }
}

TEST(quantise, ties_go_to_the_even_step) {
  std::vector<float> x(quant_block);
  x[0] = 127;
  x[1] = 2.5f;
  x[2] = -3.5f;
  const activation_block made = quantise_activations(x.data(), quant_block);
  EXPECT_EQ(made.scale, 1.0f);
  EXPECT_EQ(made.values[1], 2);
  EXPECT_EQ(made.values[2], -4);
}

TEST(quantise, what_is_no_number_shows_in_the_scale_and_dust_is_zero) {
  std::vector<float> x(quant_block, 1.0f);
  x[31] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isnan(quantise_activations(x.data(), quant_block).scale));
  EXPECT_EQ(quantise_activations(x.data(), 31).scale, 1.0f / 127);
  x.assign(quant_block, 1e-31f);
  EXPECT_EQ(quantise_activations(x.data(), quant_block).scale, 0.0f);
}

TEST(quantise, int4_finds_a_scale_that_fits_exactly) {
  // Multiples of a bf16 step, of either sign: nothing need be lost.
  for (const float step : {0.25f, -3.0f, 1e-6f, 1.5f}) {
    const float scale = bf16_to_f32(f32_to_bf16(step));
    std::vector<float> weights(quant_block);
    for (uint32_t i = 0; i < quant_block; ++i)
      weights[i] = scale * static_cast<float>(int(i % 16) - 8);
    const quantised_block made = quantise_weights_int4(weights.data());
    for (uint32_t i = 0; i < quant_block; ++i) {
      EXPECT_EQ(bf16_to_f32(made.scale) * made.values[i], weights[i]);
    }
  }
}

} // namespace
} // namespace troupe::compute
