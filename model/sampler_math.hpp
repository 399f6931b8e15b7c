// exp and log for sampling: only IEEE additions, multiplications and divisions in one fixed order,
// so that every machine draws the same token. (libm's differ between versions and processors.)
#pragma once

#include <bit>
#include <cstdint>

namespace troupe::model {

// e^x for -700 <= x <= 0, within 2 units in the last place.
inline double sampling_exp(double x) {
  constexpr double round = 0x1.8p52; // adding it leaves the integer in the low bits
  constexpr double log2_e = 0x1.71547652b82fep0;
  constexpr double ln2_high = 0x1.62e42fee00000p-1; // 33 bits: times an integer below 2^11 is exact
  constexpr double ln2_low = 0x1.a39ef35793c76p-33;
  const double shifted = x * log2_e + round;
  const double n = shifted - round;
  const double r = (x - n * ln2_high) - n * ln2_low; // |r| <= 0.35
  double p = 1.0 / 6227020800;
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const uint64_t exponent = std::bit_cast<uint64_t>(shifted) << 52;
  return std::bit_cast<double>(std::bit_cast<uint64_t>(p) + exponent);
}

// Natural logarithm of a normal x > 0, within 3 units in the last place or 1e-17 near x = 1.
inline double sampling_log(double x) {
  constexpr double ln2_high = 0x1.62e42fee00000p-1;
  constexpr double ln2_low = 0x1.a39ef35793c76p-33;
  const auto bits = std::bit_cast<uint64_t>(x);
  auto exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  if (m > 1.4142135623730951) { // [sqrt(1/2), sqrt(2)]
    m = m * 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0); // log m = 2 (s + s^3/3 + s^5/5 + …), |s| <= 0.172
  const double square = s * s;
  double p = 1.0 / 23;
  p = p * square + 1.0 / 21;
  p = p * square + 1.0 / 19;
  p = p * square + 1.0 / 17;
  p = p * square + 1.0 / 15;
  p = p * square + 1.0 / 13;
  p = p * square + 1.0 / 11;
  p = p * square + 1.0 / 9;
  p = p * square + 1.0 / 7;
  p = p * square + 1.0 / 5;
  p = p * square + 1.0 / 3;
  const double n = static_cast<double>(exponent);
  const double tail = 2.0 * s * square * p + n * ln2_low;
  return n * ln2_high + (2.0 * s + tail);
}

} // namespace troupe::model
