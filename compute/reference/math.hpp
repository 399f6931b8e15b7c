// The elementary functions of the numerics contract, one number at a time: the specification of
// what the vector kernels compute. Only IEEE operations, fused exactly where std::fma is written.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

namespace troupe::compute::reference {

// The maximum and minimum of the vector units: the second operand where either is NaN.
inline float max(float a, float b) {
  return a > b ? a : b;
}
inline float min(float a, float b) {
  return a < b ? a : b;
}

// 2^n for n in [-126, 127].
inline float power_of_two(int32_t n) {
  return std::bit_cast<float>(static_cast<uint32_t>(n + 127) << 23);
}

// e^x: x = n ln 2 + r, Taylor to r^7, and the scale in two factors so that denormals and infinity
// come out by themselves. exp(0) is exactly 1.
inline float exp(float x) {
  x = max(-104.0f, min(89.0f, x));
  constexpr float round = 12582912.0f; // 1.5 * 2^23: adding it leaves the integer in the low bits
  const float shifted = std::fma(x, 0x1.715476p+0f, round);
  const float n = shifted - round;
  float r = std::fma(n, -0x1.62e430p-1f, x);
  r = std::fma(n, 0x1.05c610p-29f, r);
  float p = 1.0f / 5040;
  p = std::fma(p, r, 1.0f / 720);
  p = std::fma(p, r, 1.0f / 120);
  p = std::fma(p, r, 1.0f / 24);
  p = std::fma(p, r, 1.0f / 6);
  p = std::fma(p, r, 0.5f);
  p = std::fma(p, r, 1.0f);
  p = std::fma(p, r, 1.0f);
  if (std::isnan(x)) return x;
  const auto whole = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(round);
  const int32_t half = whole >> 1;
  return p * power_of_two(half) * power_of_two(whole - half);
}

inline float sigmoid(float x) {
  return 1.0f / (1.0f + exp(-x));
}
inline float silu(float x) {
  return x / (1.0f + exp(-x));
}
inline float relu(float x) {
  return max(0.0f, x);
}

// 0.5 x (1 + tanh(u)) = x sigmoid(2u) with u = sqrt(2/pi) (x + 0.044715 x^3).
inline float gelu_tanh(float x) {
  const float inner = std::fma(x * x, 0.044715f * 1.5957691216f, 1.5957691216f);
  return x / (1.0f + exp(-(x * inner)));
}

// The normal distribution function: erf near zero, exp(-z^2) times a polynomial in 1 / (1 + z/2)
// for the tails.
inline float normal_cdf(float x) {
  const float z = min(10.5f, std::fabs(x) * 0.70710678f);
  const float square = z * z;
  float cdf = 0;
  if (z > 1.0f) {
    const float t = 1.0f / std::fma(z, 0.5f, 1.0f);
    float q = -0.0699618682f;
    q = std::fma(q, t, 0.335502714f);
    q = std::fma(q, t, -0.58694756f);
    q = std::fma(q, t, 0.385665774f);
    q = std::fma(q, t, -0.0970286503f);
    q = std::fma(q, t, 0.231607378f);
    q = std::fma(q, t, 0.235664517f);
    q = std::fma(q, t, 0.283527702f);
    q = std::fma(q, t, 0.281989098f);
    q = std::fma(q, t, 3.40709903e-06f);
    const float lost = std::fma(z, z, -square); // what rounding took from z^2
    float e = exp(-square);
    e = std::fma(e, -lost, e);
    const float tail = 0.5f * (q * e);
    cdf = x > 0.0f ? 1.0f - tail : tail;
  } else {
    float p = 7.87587487e-05f;
    p = std::fma(p, square, -0.00080168643f);
    p = std::fma(p, square, 0.00518908724f);
    p = std::fma(p, square, -0.0268542115f);
    p = std::fma(p, square, 0.112835944f);
    p = std::fma(p, square, -0.37612626f);
    p = std::fma(p, square, 1.12837911f);
    const float half_erf = 0.5f * (z * p);
    cdf = x > 0.0f ? 0.5f + half_erf : 0.5f - half_erf;
  }
  return cdf;
}

inline float gelu_erf(float x) {
  return x * normal_cdf(x);
}

// Sixteen partial sums added pairwise: l and l + 8, then l and l + 4, 2, 1.
inline float tree_sum(std::span<float, 16> lanes) {
  for (uint32_t distance = 8; distance > 0; distance /= 2) {
    for (uint32_t l = 0; l < distance; ++l) lanes[l] = lanes[l] + lanes[l + distance];
  }
  return lanes[0];
}

} // namespace troupe::compute::reference
