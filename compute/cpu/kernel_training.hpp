// Training kernels for any vector unit; compute/reference/training_kernels.cpp is the same one
// number at a time.
#pragma once

#include "compute/cpu/kernel_math.hpp"
#include "compute/cpu/training_table.hpp"

namespace troupe::compute {

template <class S>
struct training_functions {
  using f = typename S::f;
  using math = math_kernels<S>;

  // Vector `panel` of P, of which the last has `last` columns where it is partial.
  template <int P, bool Part>
  static f load_panel(const float* p, int panel, uint32_t last) {
    return Part && panel == P - 1 ? S::load_part(p + panel * 16, last) : S::load(p + panel * 16);
  }

  // R rows from `row` on and P vectors of columns from `column` on; Part: the last vector has
  // fewer columns.
  template <int R, int P, bool Part>
  static void product_step(const training_product& t, uint32_t row, uint32_t column) {
    const uint32_t last = Part ? t.columns - column - 16 * (P - 1) : 16;
    f sums[R][P];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
        sums[r][p] = t.add ? load_panel<P, Part>(t.y + (row + r) * t.y_stride + column, p, last)
                           : S::set(0.0f);
    }
    const float* a = t.a + row * t.a_row;
    const float* b = t.b + column;
    const size_t a_row = t.a_row, a_step = t.a_step, b_step = t.b_step;
    for (uint32_t step = 0; step < t.steps; ++step) {
      f values[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) values[p] = load_panel<P, Part>(b, p, last);
      b += b_step;
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const f one = S::set(a[r * a_row]);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) sums[r][p] = S::fma(one, values[p], sums[r][p]);
      }
      a += a_step;
    }
    for (int r = 0; r < R; ++r) {
      for (int p = 0; p < P; ++p) {
        f sum = sums[r][p];
        if (t.bias != nullptr) sum = S::add(sum, load_panel<P, Part>(t.bias + column, p, last));
        if (t.residual != nullptr)
          sum = S::add(sum, load_panel<P, Part>(t.residual + (row + r) * t.residual_stride + column,
                                                p, last));
        float* y = t.y + (row + r) * t.y_stride + column + p * 16;
        if (Part && p == P - 1)
          S::store_part(y, sum, last);
        else
          S::store(y, sum);
      }
    }
  }

  template <int R, int P, bool Part>
  static void product_rows(const training_product& t, uint32_t row, uint32_t column) {
    for (; row + R <= t.rows; row += R) product_step<R, P, Part>(t, row, column);
    if constexpr (R > 1) product_rows<R - 1, P, Part>(t, row, column);
  }

  static void product(const training_product& t) {
    uint32_t column = 0;
    if constexpr (S::rows_wide > 1) {
      for (; column + 64 <= t.columns; column += 64)
        product_rows<S::rows_wide, 4, false>(t, 0, column);
      if (column + 32 <= t.columns) {
        product_rows<8, 2, false>(t, 0, column);
        column += 32;
      }
    }
    for (; column + 16 <= t.columns; column += 16)
      product_rows<S::rows_narrow, 1, false>(t, 0, column);
    if (column < t.columns) product_rows<S::rows_narrow, 1, true>(t, 0, column);
  }

  static float scale_scores(float* x, float scale, uint32_t begin, uint32_t end, uint32_t count) {
    f most = S::set(-__builtin_inff());
    for (uint32_t at = 0; at < count; at += 16) {
      const uint32_t lanes = count - at < 16 ? count - at : 16;
      const f value = S::mul(math::load(x + at, lanes), S::set(scale));
      math::store(x + at, value, lanes);
      if (at >= end || at + 16 <= begin) continue;
      most = S::keep_lanes(S::max(value, most), most, begin > at ? begin - at : 0,
                           end - at < 16 ? end - at : 16);
    }
    return S::largest(most);
  }

  static float exponentials(float* x, float max, uint32_t begin, uint32_t end, uint32_t count) {
    f sums = S::set(0.0f);
    const f zero = S::set(0.0f);
    for (uint32_t at = 0; at < count; at += 16) {
      const uint32_t lanes = count - at < 16 ? count - at : 16;
      f value = zero;
      if (at < end && at + 16 > begin) {
        value = math::exp(S::sub(math::load(x + at, lanes), S::set(max)));
        value =
            S::keep_lanes(value, zero, begin > at ? begin - at : 0, end - at < 16 ? end - at : 16);
        sums = S::add(sums, value);
      }
      math::store(x + at, value, lanes);
    }
    return S::tree_sum(sums);
  }

  static void divide(float* x, float by, uint32_t count) {
    math::for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      math::store(x + at, S::div(math::load(x + at, lanes), S::set(by)), lanes);
    });
  }

  static void score_slopes(const float* p, float* dp, float drift, float scale, uint32_t count) {
    math::for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      const f off = S::sub(math::load(dp + at, lanes), S::set(drift));
      math::store(dp + at, S::mul(S::mul(math::load(p + at, lanes), off), S::set(scale)), lanes);
    });
  }

  static void merge(float* total, float old_factor, const float* next, float new_factor,
                    uint32_t count) {
    math::for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      const f add = S::mul(math::load(next + at, lanes), S::set(new_factor));
      math::store(total + at, S::fma(math::load(total + at, lanes), S::set(old_factor), add),
                  lanes);
    });
  }

  static float lane_dot(const float* a, const float* b, uint32_t count) {
    f sums = S::set(0.0f);
    math::for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      sums = S::fma(math::load(a + at, lanes), math::load(b + at, lanes), sums);
    });
    return S::tree_sum(sums);
  }

  static float norm_factor(const float* x, uint32_t count, float eps) {
    const float mean = lane_dot(x, x, count) / static_cast<float>(count);
    float one[16];
    S::store(one, S::div(S::set(1.0f), S::sqrt(S::set(mean + eps))));
    return one[0];
  }

  static void norm_backward(const norm_row_backward& row) {
    f sums = S::set(0.0f);
    math::for_lanes(row.count, [&](uint32_t at, uint32_t lanes) {
      const f slope = S::mul(math::load(row.gain + at, lanes), math::load(row.dy + at, lanes));
      sums = S::fma(slope, math::load(row.x + at, lanes), sums);
    });
    const float cube = row.factor * row.factor * row.factor;
    const float pull = S::tree_sum(sums) * cube / static_cast<float>(row.count);
    math::for_lanes(row.count, [&](uint32_t at, uint32_t lanes) {
      const f slope = S::mul(math::load(row.gain + at, lanes), math::load(row.dy + at, lanes));
      f value = S::fma(S::negate(math::load(row.x + at, lanes)), S::set(pull),
                       S::mul(S::set(row.factor), slope));
      if (row.add) value = S::add(math::load(row.dx + at, lanes), value);
      math::store(row.dx + at, value, lanes);
    });
  }

  static void gain_slopes(const float* dy, const float* x, float factor, float* total,
                          uint32_t count) {
    math::for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      const f normed = S::mul(math::load(x + at, lanes), S::set(factor));
      math::store(total + at,
                  S::fma(math::load(dy + at, lanes), normed, math::load(total + at, lanes)), lanes);
    });
  }

  static void silu_backward(const float* gate, const float* up, const float* dy, float* dgate,
                            float* dup, uint32_t count) {
    const f one = S::set(1.0f);
    math::for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      const f x = math::load(gate + at, lanes), slope = math::load(dy + at, lanes);
      const f wider = math::one_plus_exp_minus(x);
      const f s = S::div(one, wider);
      const f rise = S::mul(s, S::fma(x, S::sub(one, s), one));
      const f through = S::mul(slope, math::load(up + at, lanes));
      math::store(dgate + at, S::mul(through, rise), lanes);
      math::store(dup + at, S::mul(slope, S::div(x, wider)), lanes);
    });
  }

  static void add(const float* x, float* total, uint32_t count) {
    math::for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      math::store(total + at, S::add(math::load(total + at, lanes), math::load(x + at, lanes)),
                  lanes);
    });
  }

  static void sum(const float* a, const float* b, float factor, float* y, uint32_t count) {
    math::for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      f value = math::load(a + at, lanes);
      if (b != nullptr) value = S::add(value, math::load(b + at, lanes));
      math::store(y + at, S::mul(value, S::set(factor)), lanes);
    });
  }

  static void loss_slopes(float* x, float sum, float pull, float weight, uint32_t count) {
    math::for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      const f slope = S::mul(S::div(math::load(x + at, lanes), S::set(sum)), S::set(pull));
      math::store(x + at, S::mul(slope, S::set(weight)), lanes);
    });
  }

  static void difference(const float* a, const float* b, float factor, float* y, uint32_t count) {
    math::for_lanes(count, [&](uint32_t at, uint32_t lanes) {
      const f apart = S::sub(math::load(a + at, lanes), math::load(b + at, lanes));
      math::store(y + at, S::mul(apart, S::set(factor)), lanes);
    });
  }

  static void anchor(const anchor_run& run) {
    for (size_t at = 0; at < run.count; at += 16) {
      const auto lanes = static_cast<uint32_t>(run.count - at < 16 ? run.count - at : 16);
      const f apart =
          S::sub(math::load(run.values + at, lanes), math::load(run.anchor + at, lanes));
      const f pull = S::mul(S::set(run.strength), math::load(run.importance + at, lanes));
      math::store(run.gradients + at, S::fma(pull, apart, math::load(run.gradients + at, lanes)),
                  lanes);
    }
  }

  static void add_squares(const float* x, float* totals, size_t count) {
    for (size_t at = 0; at < count; at += 16) {
      const auto lanes = static_cast<uint32_t>(count - at < 16 ? count - at : 16);
      const f value = math::load(x + at, lanes);
      math::store(totals + at, S::fma(value, value, math::load(totals + at, lanes)), lanes);
    }
  }

  static void adamw(const adamw_run& run) {
    const f keep1 = S::set(1.0f - run.beta1), keep2 = S::set(1.0f - run.beta2);
    for (size_t at = 0; at < run.count; at += 16) {
      const auto lanes = static_cast<uint32_t>(run.count - at < 16 ? run.count - at : 16);
      const f gradient = S::mul(math::load(run.gradients + at, lanes), S::set(run.gradient_factor));
      const f old = math::load(run.first + at, lanes);
      const f first = S::fma(keep1, S::sub(gradient, old), old);
      const f second = S::fma(keep2, S::mul(gradient, gradient),
                              S::mul(S::set(run.beta2), math::load(run.second + at, lanes)));
      math::store(run.first + at, first, lanes);
      math::store(run.second + at, second, lanes);
      const f width = S::add(S::mul(S::sqrt(second), S::set(run.second_scale)), S::set(run.eps));
      const f kept = S::mul(math::load(run.values + at, lanes), S::set(run.decay));
      math::store(run.values + at, S::fma(S::set(-run.step_size), S::div(first, width), kept),
                  lanes);
    }
  }

  // Sixteen lanes of f64; the compiler makes vectors of them.
  static double sum_of_squares(const float* x, size_t count) {
    double lanes[16] = {};
    size_t at = 0;
    for (; at + 16 <= count; at += 16) {
      for (uint32_t l = 0; l < 16; ++l) {
        const double value = x[at + l];
        lanes[l] = lanes[l] + value * value;
      }
    }
    for (uint32_t l = 0; at + l < count; ++l) {
      const double value = x[at + l];
      lanes[l] = lanes[l] + value * value;
    }
    for (uint32_t distance = 8; distance > 0; distance /= 2)
      for (uint32_t l = 0; l < distance; ++l) lanes[l] = lanes[l] + lanes[l + distance];
    return lanes[0];
  }

  static constexpr training_table table = {
      .product = product,
      .scale_scores = scale_scores,
      .exponentials = exponentials,
      .divide = divide,
      .score_slopes = score_slopes,
      .merge = merge,
      .lane_dot = lane_dot,
      .norm_factor = norm_factor,
      .norm_backward = norm_backward,
      .gain_slopes = gain_slopes,
      .silu_backward = silu_backward,
      .add = add,
      .sum = sum,
      .loss_slopes = loss_slopes,
      .difference = difference,
      .anchor = anchor,
      .add_squares = add_squares,
      .adamw = adamw,
      .sum_of_squares = sum_of_squares,
  };
};

} // namespace troupe::compute
