// The elementary functions and row operations of the numerics contract, for any vector unit;
// compute/reference/math.hpp is the same one number at a time.
#pragma once

#include "compute/cpu/kernel_table.hpp"

namespace troupe::compute {

template <class S>
struct math_kernels {
  using f = typename S::f;

  static f exp(f x) {
    x = S::max(S::set(-104.0f), S::min(S::set(89.0f), x));
    const f round = S::set(12582912.0f);
    const f shifted = S::fma(x, S::set(0x1.715476p+0f), round);
    const f n = S::sub(shifted, round);
    f r = S::fma(n, S::set(-0x1.62e430p-1f), x);
    r = S::fma(n, S::set(0x1.05c610p-29f), r);
    f p = S::set(1.0f / 5040);
    p = S::fma(p, r, S::set(1.0f / 720));
    p = S::fma(p, r, S::set(1.0f / 120));
    p = S::fma(p, r, S::set(1.0f / 24));
    p = S::fma(p, r, S::set(1.0f / 6));
    p = S::fma(p, r, S::set(0.5f));
    p = S::fma(p, r, S::set(1.0f));
    p = S::fma(p, r, S::set(1.0f));
    return S::times_power(p, shifted); // a NaN stays one: p is
  }

  static f one_plus_exp_minus(f x) { return S::add(S::set(1.0f), exp(S::negate(x))); }
  static f sigmoid(f x) { return S::div(S::set(1.0f), one_plus_exp_minus(x)); }

  struct silu {
    static f of(f x) { return S::div(x, one_plus_exp_minus(x)); }
  };
  struct relu {
    static f of(f x) { return S::max(S::set(0.0f), x); }
  };
  struct gelu_tanh {
    static f of(f x) {
      const f inner =
          S::fma(S::mul(x, x), S::set(0.044715f * 1.5957691216f), S::set(1.5957691216f));
      return S::div(x, one_plus_exp_minus(S::mul(x, inner)));
    }
  };
  struct gelu_erf {
    static f of(f x) {
      const f z = S::min(S::set(10.5f), S::mul(S::abs(x), S::set(0.70710678f)));
      const f half = S::set(0.5f);
      const f one = S::set(1.0f);
      const f square = S::mul(z, z);
      const f tail = S::mul(half, upper_tail(z, square));
      const f half_erf = S::mul(half, S::mul(z, erf_over_z(square)));
      const f zero = S::set(0.0f);
      const f far = S::if_greater(x, zero, S::sub(one, tail), tail);
      const f near = S::if_greater(x, zero, S::add(half, half_erf), S::sub(half, half_erf));
      return S::mul(x, S::if_greater(z, one, far, near));
    }
    static f upper_tail(f z, f square) {
      constexpr float c[] = {0.335502714f, -0.58694756f, 0.385665774f, -0.0970286503f, 0.231607378f,
                             0.235664517f, 0.283527702f, 0.281989098f, 3.40709903e-06f};
      const f t = S::div(S::set(1.0f), S::fma(z, S::set(0.5f), S::set(1.0f)));
      f q = S::set(-0.0699618682f);
#pragma GCC unroll 16
      for (const float next : c) q = S::fma(q, t, S::set(next));
      const f lost = S::fma(z, z, S::negate(square));
      f e = exp(S::negate(square));
      e = S::fma(e, S::negate(lost), e);
      return S::mul(q, e);
    }
    static f erf_over_z(f square) {
      constexpr float c[] = {-0.00080168643f, 0.00518908724f, -0.0268542115f,
                             0.112835944f,    -0.37612626f,   1.12837911f};
      f p = S::set(7.87587487e-05f);
#pragma GCC unroll 8
      for (const float next : c) p = S::fma(p, square, S::set(next));
      return p;
    }
  };

  // body(index, lanes): 16 lanes at a time, the last time perhaps fewer.
  template <class Body>
  static void for_lanes(uint32_t count, Body body) {
    uint32_t at = 0;
    for (; at + 16 <= count; at += 16) body(at, 16u);
    if (at < count) body(at, count - at);
  }
  static f load(const float* p, uint32_t lanes) {
    return lanes == 16 ? S::load(p) : S::load_part(p, lanes);
  }
  static void store(float* p, f x, uint32_t lanes) {
    if (lanes == 16) {
      S::store(p, x);
    } else {
      S::store_part(p, x, lanes);
    }
  }

  static void rms_norm(const float* x, uint32_t count, const float* gain, float eps, float* y) {
    f squares = S::set(0.0f);
    for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      const f value = load(x + at, lanes);
      squares = S::fma(value, value, squares);
    });
    const float mean = S::tree_sum(squares) / static_cast<float>(count);
    const f factor = S::div(S::set(1.0f), S::sqrt(S::set(mean + eps)));
    for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      store(y + at, S::mul(S::mul(load(x + at, lanes), factor), load(gain + at, lanes)), lanes);
    });
  }

  template <class Function>
  static void gated(const float* gate, const float* up, uint32_t count, float* y) {
    for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      store(y + at, S::mul(Function::of(load(gate + at, lanes)), load(up + at, lanes)), lanes);
    });
  }

  // `kind` is a value of the enumeration activation.
  static void gated_activation(uint32_t kind, const float* gate, const float* up, uint32_t count,
                               float* y) {
    switch (kind) {
      case 0:
        return gated<silu>(gate, up, count, y);
      case 1:
        return gated<gelu_tanh>(gate, up, count, y);
      case 2:
        return gated<gelu_erf>(gate, up, count, y);
      default:
        return gated<relu>(gate, up, count, y);
    }
  }

  // Halves a [pairs] and b [pairs], in place.
  static void rotate(const rope_row& row, float* a, float* b) {
    for_lanes(row.pairs, [&](uint32_t at, uint32_t lanes) {
      const f x = load(a + at, lanes);
      const f y = load(b + at, lanes);
      const f cosine = load(row.cosines + at, lanes);
      const f sine = load(row.sines + at, lanes);
      store(a + at, S::sub(S::mul(x, cosine), S::mul(y, sine)), lanes);
      store(b + at, S::add(S::mul(y, cosine), S::mul(x, sine)), lanes);
    });
  }

  static void rope(const rope_row& row) {
    for (uint32_t h = 0; h < row.heads; ++h) {
      float* x = row.x + size_t{h} * row.head_dim;
      if (row.style == 0) { // half_split
        rotate(row, x, x + row.pairs);
        continue;
      }
      float* a = row.scratch;
      float* b = row.scratch + row.pairs;
      for (uint32_t i = 0; i < row.pairs; ++i) {
        a[i] = x[2 * i];
        b[i] = x[2 * i + 1];
      }
      rotate(row, a, b);
      const bool in_place = row.style == 2;
      for (uint32_t i = 0; i < row.pairs; ++i) {
        x[in_place ? 2 * i : i] = a[i];
        x[in_place ? 2 * i + 1 : row.pairs + i] = b[i];
      }
    }
  }

  static void softmax(const float* x, uint32_t count, float* y) {
    f most = S::set(-__builtin_inff());
    for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      most = S::keep_lanes(S::max(load(x + at, lanes), most), most, 0, lanes);
    });
    const f max = S::set(S::largest(most));
    f sums = S::set(0.0f);
    for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      const f value = exp(S::sub(load(x + at, lanes), max));
      sums = S::keep_lanes(S::add(sums, value), sums, 0, lanes);
      store(y + at, value, lanes);
    });
    const f sum = S::set(S::tree_sum(sums));
    for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      store(y + at, S::div(load(y + at, lanes), sum), lanes);
    });
  }

  static void sigmoid_row(const float* x, uint32_t count, float* y) {
    for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      store(y + at, sigmoid(load(x + at, lanes)), lanes);
    });
  }

  static void combine(const combine_row& row) {
    for_lanes(row.columns, [&](uint32_t at, uint32_t lanes) {
      f sum = S::set(0.0f);
      for (uint32_t j = 0; j < row.count; ++j) {
        sum = S::fma(S::set(row.weights[j]), load(row.rows[j] + at, lanes), sum);
      }
      if (row.shared != nullptr) sum = S::add(load(row.shared + at, lanes), sum);
      if (row.residual != nullptr) sum = S::add(load(row.residual + at, lanes), sum);
      store(row.y + at, sum, lanes);
    });
  }

  static void clamp(const float* x, float limit, uint32_t count, float* y) {
    for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      const f above = S::max(S::set(-limit), load(x + at, lanes));
      store(y + at, S::min(S::set(limit), above), lanes);
    });
  }

  static void scale(const float* x, float factor, uint32_t count, float* y) {
    for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      store(y + at, S::mul(load(x + at, lanes), S::set(factor)), lanes);
    });
  }
};

} // namespace troupe::compute
