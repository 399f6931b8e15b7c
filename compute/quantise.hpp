// Block quantisation: of weights when they are packed, and of activation rows before an integer
// product (the reference form; docs/numerics.md has the expressions).
#pragma once

#include "compute/dtype.hpp"

#include <array>
#include <cstdint>

namespace troupe::compute {

// Blocks whose largest magnitude is below this count as zero: reciprocals must stay finite.
inline constexpr float quantised_floor = 0x1p-100f;

// One block of weights: value = bf16_to_f32(scale) * values[i].
struct quantised_block {
  uint16_t scale = 0; // bf16
  std::array<int8_t, quant_block> values{};
};

// `weights` has quant_block finite entries.
// int8: the smallest bf16 scale with which the largest weight still fits into 127 steps; the error
// of a weight is at most half a step.
quantised_block quantise_weights_int8(const float* weights);
// int4: of several scales the one with the smallest squared error, never worse than absmax / -8.
quantised_block quantise_weights_int4(const float* weights);

// One block of activations: x = scale * values[i]. Where an entry is NaN or infinite the scale is
// NaN and the values are zero, so that the trouble stays visible in the product.
struct activation_block {
  float scale = 0;
  std::array<int8_t, quant_block> values{};
};
// `count` <= quant_block entries; missing ones count as zero.
activation_block quantise_activations(const float* x, uint32_t count);

} // namespace troupe::compute
