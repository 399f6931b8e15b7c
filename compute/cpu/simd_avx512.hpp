// Sixteen lanes as one AVX-512 register. Included only by kernels_avx512.cpp.
#pragma once

#if defined(__AVX512VNNI__) // empty for everybody else

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace troupe::compute::avx512 {

// The vector operations the kernel templates are written in (compute/cpu/kernel_*.hpp).
// simd_avx2.hpp has the same with two registers. Everything is IEEE arithmetic lane by lane, so
// both agree.
struct simd {
  using f = __m512;
  using i = __m512i;

  // Register blocking of the products and of attention; only speed depends on these.
  static constexpr int rows_wide = 6;       // rows by four panels: 24 sums
  static constexpr int rows_narrow = 6;     // rows by one panel
  static constexpr int block_rows_wide = 4; // the same for the block formats
  static constexpr int block_rows_last = 6; // in one pass, where no more are left
  static constexpr int block_sums_kept = 12;
  static constexpr int block_rows_narrow = 6;
  static constexpr int score_queries = 6; // queries by four vectors of positions
  static constexpr int value_queries = 6; // queries by four vectors of value columns
  static constexpr int shared_key_positions = 16;
  static constexpr int limit_sums = 12;

  static f load(const float* p) { return _mm512_loadu_ps(p); }
  // Two times eight floats from two places.
  static f load_halves(const float* low, const float* high) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(low)), _mm256_loadu_ps(high),
                              1);
  }
  static void store(float* p, f x) { _mm512_storeu_ps(p, x); }
  // The first `count` lanes; the others read as zero and are not written.
  static f load_part(const float* p, uint32_t count) {
    return _mm512_maskz_loadu_ps(first_lanes(count), p);
  }
  static void store_part(float* p, f x, uint32_t count) {
    _mm512_mask_storeu_ps(p, first_lanes(count), x);
  }
  // Lanes [begin, end) of x, the others from `other`.
  static f keep_lanes(f x, f other, uint32_t begin, uint32_t end) {
    const auto mask = static_cast<__mmask16>(first_lanes(end) & ~first_lanes(begin));
    return _mm512_mask_blend_ps(mask, other, x);
  }
  static f load_bf16(const uint16_t* p) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  static f load_f16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static f set(float x) { return _mm512_set1_ps(x); }
  static f add(f a, f b) { return _mm512_add_ps(a, b); }
  static f sub(f a, f b) { return _mm512_sub_ps(a, b); }
  static f mul(f a, f b) { return _mm512_mul_ps(a, b); }
  static f div(f a, f b) { return _mm512_div_ps(a, b); }
  static f fma(f a, f b, f c) { return _mm512_fmadd_ps(a, b, c); }
  static f sqrt(f x) { return _mm512_sqrt_ps(x); }
  // a > b ? a : b and a < b ? a : b; the second where either is NaN.
  static f max(f a, f b) { return _mm512_max_ps(a, b); }
  static f min(f a, f b) { return _mm512_min_ps(a, b); }
  static f abs(f x) { return _mm512_abs_ps(x); }
  static f negate(f x) { return _mm512_xor_ps(x, _mm512_set1_ps(-0.0f)); }
  // a > b ? yes : no.
  static f if_greater(f a, f b, f yes, f no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), no, yes);
  }
  // x * 2^n, where n sits in the low bits of `shifted` = 1.5 * 2^23 + n, in two factors.
  static f times_power(f x, f shifted) {
    const i n = _mm512_sub_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(0x4b400000));
    const i half = _mm512_srai_epi32(n, 1);
    const i bias = _mm512_set1_epi32(127);
    const i first = _mm512_slli_epi32(_mm512_add_epi32(half, bias), 23);
    const i second = _mm512_slli_epi32(_mm512_add_epi32(_mm512_sub_epi32(n, half), bias), 23);
    return mul(mul(x, _mm512_castsi512_ps(first)), _mm512_castsi512_ps(second));
  }
  // Lane l and l + 8, then l and l + 4, 2, 1.
  static float tree_sum(f x) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  // The largest lane; no lane may be NaN.
  static float largest(f x) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

  // Largest bit pattern of the magnitudes of 32 numbers.
  static uint32_t largest_magnitude(f a, f b) {
    const i most = _mm512_max_epu32(_mm512_castps_si512(abs(a)), _mm512_castps_si512(abs(b)));
    return _mm512_reduce_max_epu32(most);
  }
  // Rounds 32 numbers in [-127, 127] to int8; returns their sum.
  static int32_t round_block(f a, f b, int8_t* out) {
    const i low = _mm512_cvtps_epi32(a);
    const i high = _mm512_cvtps_epi32(b);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(low));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), _mm512_cvtepi32_epi8(high));
    return _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
  }

  // A finite number to bf16, widened again: the nearest, or the nearest that is not smaller.
  static f bf16_nearest(f x) {
    const i bits = _mm512_castps_si512(x);
    const i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return bf16_cut(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd));
  }
  static f bf16_away_from_zero(f x) {
    return bf16_cut(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0xffff)));
  }
  // What is bf16 already.
  static void store_bf16(uint16_t* p, f x) {
    const i high = _mm512_srli_epi32(_mm512_castps_si512(x), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(high));
  }
  // The low bytes of four vectors: those of a lane side by side.
  static void store_bytes(uint8_t* p, const f* four) {
    _mm512_storeu_si512(p, side_by_side(four, 0xff));
  }
  // The same of low and high nibbles.
  static void store_nibbles(uint8_t* p, const f* low, const f* high) {
    const i both =
        _mm512_or_si512(side_by_side(low, 0x0f), _mm512_slli_epi32(side_by_side(high, 0x0f), 4));
    _mm512_storeu_si512(p, both);
  }

  // Integer products of a block: weights come as quadruples of inputs of 16 columns. The stored
  // weights are unsigned (q + offset), so the sum starts at -offset * sum(x).
  using quad = __m512i;
  static void load_int8(const uint8_t* p, quad& first, quad& second) {
    first = _mm512_loadu_si512(p);
    second = _mm512_loadu_si512(p + 64);
  }
  static void load_int4(const uint8_t* p, quad& first, quad& second) {
    const i bytes = _mm512_loadu_si512(p);
    const i low = _mm512_set1_epi8(0x0f);
    first = _mm512_and_si512(bytes, low);
    second = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), low);
  }
  template <int offset>
  struct block_sum {
    i sum;
    void start(int32_t x_sum) { sum = _mm512_set1_epi32(-offset * x_sum); }
    void add(quad w, const int8_t* x) {
      int32_t four;
      __builtin_memcpy(&four, x, 4);
      sum = _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(four));
    }
    f finish(int32_t) { return _mm512_cvtepi32_ps(sum); }
  };

private:
  static f bf16_cut(i bits) {
    return _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(-65536)));
  }
  static i side_by_side(const f* four, int mask) {
    const i keep = _mm512_set1_epi32(mask);
    i all = _mm512_and_si512(_mm512_castps_si512(four[0]), keep);
    for (int n = 1; n < 4; ++n) {
      const i one = _mm512_and_si512(_mm512_castps_si512(four[n]), keep);
      all = _mm512_or_si512(all, _mm512_sll_epi32(one, _mm_cvtsi32_si128(8 * n)));
    }
    return all;
  }
  static __mmask16 first_lanes(uint32_t count) {
    return static_cast<__mmask16>(count >= 16 ? 0xffffu : (1u << count) - 1);
  }
};

} // namespace troupe::compute::avx512

#endif
