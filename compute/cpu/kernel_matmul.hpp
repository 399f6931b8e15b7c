// Products of rows with one group of weight panels, for any vector unit. One sum per output
// element, inputs ascending (docs/numerics.md): the blocking below decides which sums are in
// registers together, never how a sum is formed.
#pragma once

#include "compute/cpu/kernel_table.hpp"

namespace troupe::compute {

// Everything here is a template over the vector unit, so no two of them share an instance.
template <class S>
struct matmul_kernels {
  using f = typename S::f;

  struct f32_weights {
    using stored = float;
    static f load(const stored* p) { return S::load(p); }
  };
  struct bf16_weights {
    using stored = uint16_t;
    static f load(const stored* p) { return S::load_bf16(p); }
  };
  struct f16_weights {
    using stored = uint16_t;
    static f load(const stored* p) { return S::load_f16(p); }
  };
  struct int8_weights {
    static constexpr int offset = 128;
    static constexpr size_t octet_bytes = 128; // eight inputs of 16 columns
    static void load(const uint8_t* p, typename S::quad& a, typename S::quad& b) {
      S::load_int8(p, a, b);
    }
  };
  struct int4_weights {
    static constexpr int offset = 8;
    static constexpr size_t octet_bytes = 64;
    static void load(const uint8_t* p, typename S::quad& a, typename S::quad& b) {
      S::load_int4(p, a, b);
    }
  };

  // One vector of sums for a row and 16 columns, of which `columns` exist.
  static void finish(const tile_output& out, uint32_t row, uint32_t column, f sum) {
    if (column >= out.columns) return;
    const uint32_t left = out.columns - column;
    const uint32_t count = left < 16 ? left : 16;
    if (out.bias != nullptr) sum = S::add(sum, S::load_part(out.bias + column, count));
    if (out.residual != nullptr) {
      sum = S::add(sum, S::load_part(out.residual + row * out.residual_stride + column, count));
    }
    S::store_part(out.y + row * out.y_stride + column, sum, count);
  }

  // R rows from `row` on, P panels from `panel` on.
  template <class W, int R, int P>
  static void float_step(const float_tile& t, uint32_t row, uint32_t panel) {
    f sums[R][P];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sums[r][p] = S::set(0.0f);
    }
    const float* x = t.x + row * t.x_stride;
    const size_t x_stride = t.x_stride;
    const size_t step = size_t{t.width} * 16;
    const auto* w = static_cast<const typename W::stored*>(t.weights) + panel * 16;
    const uint32_t inputs = t.inputs;
    for (uint32_t k = 0; k < inputs; ++k) {
      f weights[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) weights[p] = W::load(w + p * 16);
      w += step;
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const f one = S::set(x[r * x_stride + k]);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) sums[r][p] = S::fma(one, weights[p], sums[r][p]);
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int p = 0; p < P; ++p) finish(t.out, row + r, (panel + p) * 16, sums[r][p]);
    }
  }

  // All rows from `row` on, R at a time as long as there are that many, then fewer.
  template <class W, int R, int P>
  static void float_rows(const float_tile& t, uint32_t row, uint32_t panel) {
    for (; row + R <= t.rows; row += R) float_step<W, R, P>(t, row, panel);
    if constexpr (R > 1) float_rows<W, R - 1, P>(t, row, panel);
  }

  template <class W>
  static void float_product(const float_tile& t) {
    constexpr uint32_t most_wide = S::rows_wide;
    if (t.width == 4 && (most_wide > 1 || t.rows == 1)) {
      float_rows<W, S::rows_wide, 4>(t, 0, 0);
      return;
    }
    for (uint32_t panel = 0; panel < t.width; ++panel) {
      float_rows<W, S::rows_narrow, 1>(t, 0, panel);
    }
  }

  // What one pass over a group's weights brings into the cache of the weights that come next.
  struct look_ahead {
    const uint8_t* at = nullptr;
    uint32_t lines = 0; // of 64 bytes, in each block of inputs
  };

  // R rows from `row` on, P panels from `panel` on.
  template <class W, int R, int P>
  static void block_step(const block_tile& t, uint32_t row, uint32_t panel, look_ahead ahead = {}) {
    // Sums are in registers where these are enough for them beside the integer ones.
    constexpr bool in_registers = R * P <= S::block_sums_kept;
    f kept[in_registers ? R : 1][in_registers ? P : 1];
    alignas(64) float stored[in_registers ? 1 : R * P * 16];
    if constexpr (in_registers) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) kept[r][p] = S::set(0.0f);
      }
    } else {
#pragma GCC unroll 32
      for (int n = 0; n < R * P; ++n) S::store(stored + n * 16, S::set(0.0f));
    }
    const size_t x_stride = size_t{t.blocks} * 32;
    const size_t octet_step = t.width * W::octet_bytes;
    const uint8_t* w = t.weights + panel * W::octet_bytes;
    const uint16_t* scales = t.scales + panel * 16;
    for (uint32_t b = 0; b < t.blocks; ++b) {
      const int8_t* x = t.x + row * x_stride + size_t{b} * 32;
      const size_t block = size_t{row} * t.blocks + b;
      typename S::template block_sum<W::offset> dots[R][P];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) dots[r][p].start(t.x_sums[block + size_t(r) * t.blocks]);
      }
      for (uint32_t n = 0; n < ahead.lines; ++n, ahead.at += 64) __builtin_prefetch(ahead.at, 0, 2);
#pragma GCC unroll 4
      for (int octet = 0; octet < 4; ++octet) {
        typename S::quad first[P];
        typename S::quad second[P];
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) {
          W::load(w + p * W::octet_bytes, first[p], second[p]);
        }
        w += octet_step;
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const int8_t* eight = x + r * x_stride + octet * 8;
#pragma GCC unroll 4
          for (int p = 0; p < P; ++p) dots[r][p].add(first[p], eight);
#pragma GCC unroll 4
          for (int p = 0; p < P; ++p) dots[r][p].add(second[p], eight + 4);
        }
      }
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const f scale = S::load_bf16(scales + p * 16);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const size_t at = block + size_t(r) * t.blocks;
          const f dot = dots[r][p].finish(t.x_sums[at]);
          const f both = S::mul(S::set(t.x_scales[at]), scale);
          if constexpr (in_registers) {
            kept[r][p] = S::fma(dot, both, kept[r][p]);
          } else {
            float* sum = stored + (r * P + p) * 16;
            S::store(sum, S::fma(dot, both, S::load(sum)));
          }
        }
      }
      scales += t.width * 16;
    }
    for (int r = 0; r < R; ++r) {
      for (int p = 0; p < P; ++p) {
        if constexpr (in_registers) {
          finish(t.out, row + r, (panel + p) * 16, kept[r][p]);
        } else {
          finish(t.out, row + r, (panel + p) * 16, S::load(stored + (r * P + p) * 16));
        }
      }
    }
  }

  template <class W, int R, int P>
  static void block_rows(const block_tile& t, uint32_t row, uint32_t panel) {
    for (; row + R <= t.rows; row += R) block_step<W, R, P>(t, row, panel);
    if constexpr (R > 1) block_rows<W, R - 1, P>(t, row, panel);
  }

  // All rows from `row` on, of which there are at most R, in one pass over the weights.
  template <class W, int R>
  static void block_last_rows(const block_tile& t, uint32_t row, look_ahead ahead) {
    if (row + R == t.rows) return block_step<W, R, 4>(t, row, 0, ahead);
    if constexpr (R > 1) block_last_rows<W, R - 1>(t, row, ahead);
  }

  // Few rows, as the experts of a batch have them, read their weights from memory once. With more,
  // memory would be idle in all passes but the first of each group.
  template <class W>
  static void block_product(const block_tile& t) {
    constexpr uint32_t most_last = S::block_rows_last;
    if (t.width == 4 && (most_last > 1 || t.rows == 1)) {
      look_ahead ahead;
      uint32_t pass_bytes = 0;
      if (t.next != nullptr && t.rows > most_last) {
        constexpr uint32_t block_lines = 4 * 4 * W::octet_bytes / 64;
        const uint32_t passes =
            1 + (t.rows - most_last + S::block_rows_wide - 1) / S::block_rows_wide;
        ahead = {t.next, (block_lines + passes - 1) / passes};
        pass_bytes = ahead.lines * t.blocks * 64;
      }
      uint32_t row = 0;
      for (; t.rows - row > most_last; row += S::block_rows_wide, ahead.at += pass_bytes) {
        block_step<W, S::block_rows_wide, 4>(t, row, 0, ahead);
      }
      block_last_rows<W, S::block_rows_last>(t, row, ahead);
      return;
    }
    for (uint32_t panel = 0; panel < t.width; ++panel) {
      block_rows<W, S::block_rows_narrow, 1>(t, 0, panel);
    }
  }

  // Per block of 32: scale = most / 127, q = round(x * (127 / most)); all zero below 2^-100; a NaN
  // scale where an entry is not finite.
  static void quantise_row(const float* x, uint32_t count, int8_t* q, float* scales,
                           int32_t* sums) {
    const f zero = S::set(0.0f);
    for (uint32_t b = 0; b * 32 < count; ++b) {
      const uint32_t left = count - b * 32;
      const float* at = x + size_t{b} * 32;
      const f low = left >= 16 ? S::load(at) : S::load_part(at, left);
      const f high = left >= 32  ? S::load(at + 16)
                     : left > 16 ? S::load_part(at + 16, left - 16)
                                 : zero;
      const uint32_t bits = S::largest_magnitude(low, high);
      float most;
      __builtin_memcpy(&most, &bits, 4);
      int8_t* out = q + size_t{b} * 32;
      if (bits >= 0x7f800000u || most < 0x1p-100f) {
        scales[b] = bits >= 0x7f800000u ? __builtin_nanf("") : 0.0f;
        sums[b] = S::round_block(zero, zero, out);
        continue;
      }
      const f inverse = S::set(127.0f / most);
      scales[b] = most / 127.0f;
      sums[b] = S::round_block(S::mul(low, inverse), S::mul(high, inverse), out);
    }
  }
};

} // namespace troupe::compute
