// Block quantisation in plain IEEE arithmetic, without fused operations, the same on every machine.
#include "compute/quantise.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace troupe::compute {
namespace {

using block = std::array<float, quant_block>;

// The weight of largest magnitude, with its sign; the first of equals.
float largest(const float* weights) {
  float best = 0;
  for (uint32_t i = 0; i < quant_block; ++i) {
    if (std::fabs(weights[i]) > std::fabs(best)) best = weights[i];
  }
  return best;
}

// The nearest bf16 whose magnitude is not smaller.
uint16_t bf16_away_from_zero(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t up = (bits & 0xffffu) != 0 ? 1 : 0;
  return static_cast<uint16_t>((bits >> 16) + up);
}

// The nearest integer within the limits, for |x| < 2^22; the loops below vectorise with it.
float nearest(float x, float least, float most) {
  constexpr float round = 12582912.0f; // 1.5 * 2^23
  const float inside = std::min(std::max(x, least), most);
  return (inside + round) - round;
}

// Eight partial sums, so that adding up vectorises in one fixed order.
float sum_of_products(const block& a, const block& b) {
  std::array<float, 8> lanes{};
  for (uint32_t i = 0; i < quant_block; i += 8) {
    for (uint32_t l = 0; l < 8; ++l) lanes[l] += a[i + l] * b[i + l];
  }
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
         ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// Steps for given weights and the scale that fits best to these steps.
struct candidate {
  block steps{};
  uint16_t scale = 0; // bf16
  float error = 0;    // squared, in units of the largest weight
};

// Rounds the weights to multiples of `scale_bits` and then moves the scale to where least squares
// want it, which as the nearest bf16 to the optimum of a parabola is never worse.
candidate int4_with_scale(const float* weights, uint16_t scale_bits, float extreme) {
  candidate made;
  const float scale = bf16_to_f32(scale_bits);
  const float inverse = 1.0f / scale;
  block exact;
  for (uint32_t i = 0; i < quant_block; ++i) {
    exact[i] = weights[i] * inverse;
    made.steps[i] = nearest(exact[i], -8.0f, 7.0f);
  }
  const float product = sum_of_products(exact, made.steps);
  const float square = sum_of_products(made.steps, made.steps);
  made.scale = square == 0 ? scale_bits : f32_to_bf16(product / square * scale);
  const float moved = bf16_to_f32(made.scale) * inverse;
  for (uint32_t i = 0; i < quant_block; ++i) exact[i] = exact[i] - moved * made.steps[i];
  const float unit = scale / extreme;
  made.error = sum_of_products(exact, exact) * (unit * unit);
  return made;
}

} // namespace

quantised_block quantise_weights_int8(const float* weights) {
  quantised_block made;
  const float most = std::fabs(largest(weights));
  if (most < quantised_floor) return made;
  made.scale = bf16_away_from_zero(most / 127.0f);
  const float inverse = 1.0f / bf16_to_f32(made.scale);
  for (uint32_t i = 0; i < quant_block; ++i) {
    made.values[i] = static_cast<int8_t>(nearest(weights[i] * inverse, -127.0f, 127.0f));
  }
  return made;
}

quantised_block quantise_weights_int4(const float* weights) {
  quantised_block made;
  const float extreme = largest(weights);
  if (std::fabs(extreme) < quantised_floor) return made;
  // The extreme weight at -8 first; then at slightly other steps, on either side of zero, where the
  // extreme is clipped or the range is not used up, but the other weights may fit better.
  constexpr std::array<float, 11> at = {-8.0f,  -7.5f, -7.0f, -8.5f, -9.0f, -6.5f,
                                        -9.75f, 7.0f,  7.5f,  8.25f, 6.5f};
  candidate best;
  best.error = std::numeric_limits<float>::infinity();
  const auto consider = [&best, weights, extreme](uint16_t scale) {
    const candidate next = int4_with_scale(weights, scale, extreme);
    if (next.error < best.error) best = next;
  };
  for (const float step : at) consider(f32_to_bf16(extreme / step));
  consider(best.scale); // once more from where least squares went
  made.scale = best.scale;
  for (uint32_t i = 0; i < quant_block; ++i) made.values[i] = static_cast<int8_t>(best.steps[i]);
  return made;
}

activation_block quantise_activations(const float* x, uint32_t count) {
  activation_block made;
  uint32_t most_bits = 0; // magnitudes compare like their bits, and NaN above infinity
  for (uint32_t i = 0; i < count; ++i) {
    most_bits = std::max(most_bits, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  }
  const float most = std::bit_cast<float>(most_bits);
  if (most_bits >= 0x7f800000u) {
    made.scale = std::numeric_limits<float>::quiet_NaN();
    return made;
  }
  if (most < quantised_floor) return made;
  made.scale = most / 127.0f;
  const float inverse = 127.0f / most;
  for (uint32_t i = 0; i < count; ++i) {
    made.values[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  }
  return made;
}

} // namespace troupe::compute
