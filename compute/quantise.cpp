// Block quantisation in plain IEEE arithmetic, without fused operations, the same on every machine.
#include "compute/quantise.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace troupe::compute {
namespace {

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

int8_t nearest_step(float weight, float scale, float least, float most) {
  return static_cast<int8_t>(std::clamp(std::nearbyint(weight / scale), least, most));
}

struct candidate {
  quantised_block block;
  double error = 0;
};

candidate int4_with_scale(const float* weights, uint16_t scale_bits) {
  candidate made;
  made.block.scale = scale_bits;
  const float scale = bf16_to_f32(scale_bits);
  for (uint32_t i = 0; i < quant_block; ++i) {
    const int8_t q = nearest_step(weights[i], scale, -8, 7);
    made.block.values[i] = q;
    const double miss = double{weights[i]} - double{scale} * q;
    made.error += miss * miss;
  }
  return made;
}

// The scale that fits best to given steps, by least squares; 0 when there is none.
uint16_t refitted_scale(const float* weights, const quantised_block& block) {
  double product = 0;
  double square = 0;
  for (uint32_t i = 0; i < quant_block; ++i) {
    product += double{weights[i]} * block.values[i];
    square += double{static_cast<float>(block.values[i])} * block.values[i];
  }
  return square == 0 ? uint16_t{0} : f32_to_bf16(static_cast<float>(product / square));
}

} // namespace

quantised_block quantise_weights_int8(const float* weights) {
  quantised_block made;
  const float most = std::fabs(largest(weights));
  if (most == 0) return made;
  made.scale = bf16_away_from_zero(most / 127.0f);
  const float scale = bf16_to_f32(made.scale);
  for (uint32_t i = 0; i < quant_block; ++i) {
    made.values[i] = nearest_step(weights[i], scale, -127, 127);
  }
  return made;
}

quantised_block quantise_weights_int4(const float* weights) {
  const float extreme = largest(weights);
  if (extreme == 0) return {};
  // The extreme weight at -8 first; then at slightly other steps, on either side of zero, where the
  // extreme is clipped or the range is not used up, but the other weights may fit better.
  constexpr std::array<float, 11> steps = {-8.0f, -7.5f, -7.0f, -8.5f, -9.0f, -6.5f,
                                           -9.75f, 7.0f,  7.5f,  8.25f, 6.5f};
  candidate best;
  best.error = std::numeric_limits<double>::infinity();
  const auto consider = [&best, weights](uint16_t scale) {
    if ((scale & 0x7fffu) == 0) return candidate{};
    candidate made = int4_with_scale(weights, scale);
    if (made.error < best.error) best = made;
    return made;
  };
  for (const float step : steps) {
    const candidate made = consider(f32_to_bf16(extreme / step));
    consider(refitted_scale(weights, made.block));
  }
  return best.block;
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
  if (most < activation_floor) return made;
  made.scale = most / 127.0f;
  const float inverse = 127.0f / most;
  for (uint32_t i = 0; i < count; ++i) {
    made.values[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  }
  return made;
}

} // namespace troupe::compute
