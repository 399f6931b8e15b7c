// Blocks of weights into integers, sixteen output columns at a time: each lane does for its column
// what compute/quantise.cpp does for one block, operation by operation, so the bytes are the same.
#pragma once

#include "compute/cpu/kernel_table.hpp"

namespace troupe::compute {

template <class S>
struct quantise_kernels {
  using f = typename S::f;
  static constexpr uint32_t block = 32;
  static constexpr float round = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float floor = 0x1p-100f;

  static f weight(const weight_block& b, uint32_t i) { return S::load(b.weights + i * 16); }

  static f between(f x, float least, float most) {
    return S::min(S::max(x, S::set(least)), S::set(most));
  }
  static f nearest(f x, float least, float most) {
    return S::sub(S::add(between(x, least, most), S::set(round)), S::set(round));
  }
  // The integer nearest to x and `offset` more, in the low bits of the lane.
  static f in_low_bits(f x, float least, float most, float offset) {
    return S::add(between(x, least, most), S::set(round + offset));
  }

  // Eight partial sums of products, as in the plain code.
  template <class A, class B>
  static f sum_of_products(A a, B b) {
    f lanes[8];
#pragma GCC unroll 8
    for (uint32_t l = 0; l < 8; ++l) lanes[l] = S::set(0.0f);
    for (uint32_t i = 0; i < block; i += 8) {
#pragma GCC unroll 8
      for (uint32_t l = 0; l < 8; ++l) lanes[l] = S::add(lanes[l], S::mul(a(i + l), b(i + l)));
    }
    return S::add(S::add(S::add(lanes[0], lanes[4]), S::add(lanes[1], lanes[5])),
                  S::add(S::add(lanes[2], lanes[6]), S::add(lanes[3], lanes[7])));
  }

  // a where |extreme| is at least the floor, else b.
  static f unless_tiny(f extreme, f a, f b) {
    return S::if_greater(S::set(floor), S::abs(extreme), b, a);
  }

  static void int8(const weight_block& b) {
    f most = S::set(0.0f);
    for (uint32_t i = 0; i < block; ++i) most = S::max(S::abs(weight(b, i)), most);
    const f zero = S::set(0.0f);
    const f scale = unless_tiny(most, S::bf16_away_from_zero(S::div(most, S::set(127.0f))), zero);
    S::store_bf16(b.scales, scale);
    const f inverse = unless_tiny(most, S::div(S::set(1.0f), scale), zero);
    for (uint32_t i = 0; i < block; i += 4) {
      f steps[4];
#pragma GCC unroll 4
      for (uint32_t n = 0; n < 4; ++n) {
        steps[n] = in_low_bits(S::mul(weight(b, i + n), inverse), -127.0f, 127.0f, 128.0f);
      }
      S::store_bytes(b.values + i / 8 * b.octet_stride + i / 4 % 2 * 64, steps);
    }
  }

  // What is known of the best scale so far.
  struct choice {
    f first; // the scale that the weights are rounded with …
    f scale; // … and where least squares move it
    f error;
  };

  static choice with_scale(const weight_block& b, f scale, f extreme, float* exact, float* steps) {
    const f inverse = S::div(S::set(1.0f), scale);
    for (uint32_t i = 0; i < block; ++i) {
      const f x = S::mul(weight(b, i), inverse);
      S::store(exact + i * 16, x);
      S::store(steps + i * 16, nearest(x, -8.0f, 7.0f));
    }
    const auto exact_at = [exact](uint32_t i) { return S::load(exact + i * 16); };
    const auto step_at = [steps](uint32_t i) { return S::load(steps + i * 16); };
    const f product = sum_of_products(exact_at, step_at);
    const f square = sum_of_products(step_at, step_at);
    const f moved_to = S::bf16_nearest(S::mul(S::div(product, square), scale));
    choice made;
    made.first = scale;
    made.scale = S::if_greater(square, S::set(0.0f), moved_to, scale); // a sum of squares
    const f moved = S::mul(made.scale, inverse);
    const auto error_at = [&](uint32_t i) {
      return S::sub(exact_at(i), S::mul(moved, step_at(i)));
    };
    const f unit = S::div(scale, extreme);
    made.error = S::mul(sum_of_products(error_at, error_at), S::mul(unit, unit));
    return made;
  }

  static void int4(const weight_block& b) {
    f extreme = S::set(0.0f);
    for (uint32_t i = 0; i < block; ++i) {
      const f x = weight(b, i);
      extreme = S::if_greater(S::abs(x), S::abs(extreme), x, extreme);
    }
    // The order matters where two give the same error.
    constexpr float at[] = {-8.0f,  -7.5f, -7.0f, -8.5f, -9.0f, -6.5f,
                            -9.75f, 7.0f,  7.5f,  8.25f, 6.5f};
    alignas(64) float exact[block * 16];
    alignas(64) float steps[block * 16];
    choice best{S::set(1.0f), S::set(1.0f), S::set(__builtin_inff())};
    const auto consider = [&](f scale) {
      const choice next = with_scale(b, scale, extreme, exact, steps);
      best = {S::if_greater(best.error, next.error, next.first, best.first),
              S::if_greater(best.error, next.error, next.scale, best.scale),
              S::if_greater(best.error, next.error, next.error, best.error)};
    };
    for (const float step : at) consider(S::bf16_nearest(S::div(extreme, S::set(step))));
    consider(best.scale);
    const f zero = S::set(0.0f);
    S::store_bf16(b.scales, unless_tiny(extreme, best.scale, zero));
    const f inverse = unless_tiny(extreme, S::div(S::set(1.0f), best.first), zero);
    for (uint32_t i = 0; i < block; i += 8) {
      f low[4];
      f high[4];
#pragma GCC unroll 4
      for (uint32_t n = 0; n < 4; ++n) {
        low[n] = in_low_bits(S::mul(weight(b, i + n), inverse), -8.0f, 7.0f, 8.0f);
        high[n] = in_low_bits(S::mul(weight(b, i + 4 + n), inverse), -8.0f, 7.0f, 8.0f);
      }
      S::store_nibbles(b.values + i / 8 * b.octet_stride, low, high);
    }
  }
};

} // namespace troupe::compute
