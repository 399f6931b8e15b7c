// The elementary functions for the scalars of training: in f32 those of the numerics contract, in
// f64 the library's, since double serves only to check derivatives.
#pragma once

#include "compute/kernels.hpp"
#include "compute/reference/math.hpp"

#include <array>
#include <cmath>
#include <numbers>
#include <span>

namespace troupe::compute::reference {

// ln x of a positive finite number, in plain f64 operations so that every machine gives the same
// bits: x = 2^e m with m around 1, and the series of 2 artanh((m - 1) / (m + 1)).
inline double natural_log(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  auto exponent = static_cast<int32_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
  if (m > 1.4142135623730951) {
    m = m * 0.5;
    ++exponent;
  }
  const double s = (m - 1) / (m + 1);
  const double square = s * s;
  double series = 0;
  for (int32_t n = 21; n >= 1; n -= 2) series = series * square + 1.0 / n;
  return exponent * 0.69314718055994530942 + 2 * (s * series);
}

template <class T>
struct scalar_math;

template <>
struct scalar_math<float> {
  static float exp(float x) { return reference::exp(x); }
  static float log(float x) { return static_cast<float>(natural_log(x)); }
  static float normal_cdf(float x) { return reference::normal_cdf(x); }
  static constexpr float gelu_cubic = 0.044715f * 1.5957691216f;
  static constexpr float gelu_linear = 1.5957691216f;
};

template <>
struct scalar_math<double> {
  static double exp(double x) { return std::exp(x); }
  static double log(double x) { return std::log(x); }
  static double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
  static constexpr double gelu_linear = 1.595769121605730711759; // 2 sqrt(2 / pi)
  static constexpr double gelu_cubic = 0.044715 * gelu_linear;
};

template <class T>
T sigmoid_of(T x) {
  return T(1) / (T(1) + scalar_math<T>::exp(-x));
}

// The function and its derivative.
template <class T>
T activate(activation kind, T x) {
  using math = scalar_math<T>;
  switch (kind) {
    case activation::silu:
      return x / (T(1) + math::exp(-x));
    case activation::gelu_tanh: {
      const T inner = std::fma(x * x, math::gelu_cubic, math::gelu_linear);
      return x / (T(1) + math::exp(-(x * inner)));
    }
    case activation::gelu_erf:
      return x * math::normal_cdf(x);
    case activation::relu:
      break;
  }
  return T(0) > x ? T(0) : x;
}

template <class T>
T activate_slope(activation kind, T x) {
  using math = scalar_math<T>;
  switch (kind) {
    case activation::silu: {
      const T s = sigmoid_of(x);
      return s * std::fma(x, T(1) - s, T(1));
    }
    case activation::gelu_tanh: {
      const T square = x * x;
      const T s = sigmoid_of(x * std::fma(square, math::gelu_cubic, math::gelu_linear));
      const T slope = std::fma(square, T(3) * math::gelu_cubic, math::gelu_linear);
      return s * std::fma(x * (T(1) - s), slope, T(1));
    }
    case activation::gelu_erf: {
      const T density = T(0.398942280401432677939946) * math::exp(T(-0.5) * (x * x));
      return std::fma(x, density, math::normal_cdf(x));
    }
    case activation::relu:
      break;
  }
  return x > T(0) ? T(1) : T(0);
}

// Sixteen sums: entry i belongs to lane i mod 16.
template <class T>
struct lane_sum {
  std::array<T, 16> lanes{};

  void add(size_t i, T x) { lanes[i % 16] = lanes[i % 16] + x; }
  void add_product(size_t i, T a, T b) { lanes[i % 16] = std::fma(a, b, lanes[i % 16]); }
  T total() {
    for (uint32_t distance = 8; distance > 0; distance /= 2) {
      for (uint32_t l = 0; l < distance; ++l) lanes[l] = lanes[l] + lanes[l + distance];
    }
    return lanes[0];
  }
};

} // namespace troupe::compute::reference
