// Sixteen lanes as two AVX2 registers. Included only by kernels_avx2.cpp.
#pragma once

#if defined(__AVX2__) // empty for everybody else

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace troupe::compute::avx2 {

// Like avx512::simd; see there for what the operations mean.
struct simd {
  struct f {
    __m256 low;
    __m256 high;
  };
  struct i {
    __m256i low;
    __m256i high;
  };

  static constexpr int rows_wide = 1;
  static constexpr int rows_narrow = 6;
  static constexpr int block_rows_wide = 1; // the same for the block formats
  static constexpr int block_rows_last = 1;
  static constexpr int block_rows_narrow = 2;
  static constexpr int block_sums_kept = 16;
  static constexpr int score_queries = 1;
  static constexpr int value_queries = 1;
  static constexpr int shared_key_positions = 4;
  static constexpr int limit_sums = 4;

  static f load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static f load_halves(const float* low, const float* high) {
    return {_mm256_loadu_ps(low), _mm256_loadu_ps(high)};
  }
  static void store(float* p, f x) {
    _mm256_storeu_ps(p, x.low);
    _mm256_storeu_ps(p + 8, x.high);
  }
  static f load_part(const float* p, uint32_t count) {
    const i mask = first_lanes(count);
    return {_mm256_maskload_ps(p, mask.low), _mm256_maskload_ps(p + 8, mask.high)};
  }
  static void store_part(float* p, f x, uint32_t count) {
    const i mask = first_lanes(count);
    _mm256_maskstore_ps(p, mask.low, x.low);
    _mm256_maskstore_ps(p + 8, mask.high, x.high);
  }
  static f keep_lanes(f x, f other, uint32_t begin, uint32_t end) {
    const i below_end = first_lanes(end);
    const i below_begin = first_lanes(begin);
    const __m256i low = _mm256_andnot_si256(below_begin.low, below_end.low);
    const __m256i high = _mm256_andnot_si256(below_begin.high, below_end.high);
    return {_mm256_blendv_ps(other.low, x.low, _mm256_castsi256_ps(low)),
            _mm256_blendv_ps(other.high, x.high, _mm256_castsi256_ps(high))};
  }
  static f load_bf16(const uint16_t* p) { return {widened_bf16(p), widened_bf16(p + 8)}; }
  static f load_f16(const uint16_t* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
            _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
  }
  static f set(float x) {
    const __m256 all = _mm256_set1_ps(x);
    return {all, all};
  }
  static f add(f a, f b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
  static f sub(f a, f b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
  static f mul(f a, f b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
  static f div(f a, f b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
  static f fma(f a, f b, f c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static f sqrt(f x) { return {_mm256_sqrt_ps(x.low), _mm256_sqrt_ps(x.high)}; }
  static f max(f a, f b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
  static f min(f a, f b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
  static f abs(f x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_andnot_ps(sign, x.low), _mm256_andnot_ps(sign, x.high)};
  }
  static f negate(f x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_xor_ps(x.low, sign), _mm256_xor_ps(x.high, sign)};
  }
  static f if_greater(f a, f b, f yes, f no) {
    return {_mm256_blendv_ps(no.low, yes.low, _mm256_cmp_ps(a.low, b.low, _CMP_GT_OQ)),
            _mm256_blendv_ps(no.high, yes.high, _mm256_cmp_ps(a.high, b.high, _CMP_GT_OQ))};
  }
  static f times_power(f x, f shifted) {
    return {times_power(x.low, shifted.low), times_power(x.high, shifted.high)};
  }
  static float tree_sum(f x) {
    const __m256 eight = _mm256_add_ps(x.low, x.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static float largest(f x) {
    const __m256 eight = _mm256_max_ps(x.low, x.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

  static uint32_t largest_magnitude(f a, f b) {
    const f one = abs(a);
    const f two = abs(b);
    const __m256i most = _mm256_max_epu32(
        _mm256_max_epu32(_mm256_castps_si256(one.low), _mm256_castps_si256(one.high)),
        _mm256_max_epu32(_mm256_castps_si256(two.low), _mm256_castps_si256(two.high)));
    __m128i four = _mm_max_epu32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0xb1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(four));
  }
  static int32_t round_block(f a, f b, int8_t* out) {
    const __m256i p = _mm256_cvtps_epi32(a.low);
    const __m256i q = _mm256_cvtps_epi32(a.high);
    const __m256i r = _mm256_cvtps_epi32(b.low);
    const __m256i s = _mm256_cvtps_epi32(b.high);
    // Packing works within halves of the register; the permutation puts fours back in order.
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(p, q), _mm256_packs_epi32(r, s));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permutevar8x32_epi32(bytes, order));
    const __m256i eight = _mm256_add_epi32(_mm256_add_epi32(p, q), _mm256_add_epi32(r, s));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtsi128_si32(four);
  }

  static f bf16_nearest(f x) { return {bf16_nearest(x.low), bf16_nearest(x.high)}; }
  static f bf16_away_from_zero(f x) {
    return {bf16_away_from_zero(x.low), bf16_away_from_zero(x.high)};
  }
  static void store_bf16(uint16_t* p, f x) {
    const __m256i low = _mm256_srli_epi32(_mm256_castps_si256(x.low), 16);
    const __m256i high = _mm256_srli_epi32(_mm256_castps_si256(x.high), 16);
    // Packing works within halves of the register.
    const __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), both);
  }
  static void store_bytes(uint8_t* p, const f* four) {
    const i all = side_by_side(four, 0xff);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), all.low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), all.high);
  }
  static void store_nibbles(uint8_t* p, const f* low, const f* high) {
    const i one = side_by_side(low, 0x0f);
    const i two = side_by_side(high, 0x0f);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm256_or_si256(one.low, _mm256_slli_epi32(two.low, 4)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32),
                        _mm256_or_si256(one.high, _mm256_slli_epi32(two.high, 4)));
  }

  // vpmaddubsw adds two products into 16 bits and saturates. int8: magnitudes of both sides are at
  // most 127, so two products are at most 32258. int4: weights are at most 15, and all eight sums
  // of two products of a block together are at most 30480.
  using quad = i;
  static void load_int8(const uint8_t* p, quad& first, quad& second) {
    const __m256i flip = _mm256_set1_epi8(-128); // q + 128 back to q
    first = {_mm256_xor_si256(load_bytes(p), flip), _mm256_xor_si256(load_bytes(p + 32), flip)};
    second = {_mm256_xor_si256(load_bytes(p + 64), flip),
              _mm256_xor_si256(load_bytes(p + 96), flip)};
  }
  static void load_int4(const uint8_t* p, quad& first, quad& second) {
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    const __m256i one = load_bytes(p);
    const __m256i two = load_bytes(p + 32);
    first = {_mm256_and_si256(one, nibble), _mm256_and_si256(two, nibble)};
    second = {_mm256_and_si256(_mm256_srli_epi16(one, 4), nibble),
              _mm256_and_si256(_mm256_srli_epi16(two, 4), nibble)};
  }
  template <int offset>
  struct block_sum;

  static __m256i load_bytes(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }

private:
  static __m256 bf16_cut(__m256i bits) {
    return _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(-65536)));
  }
  static __m256 bf16_nearest(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return bf16_cut(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd));
  }
  static __m256 bf16_away_from_zero(__m256 x) {
    return bf16_cut(_mm256_add_epi32(_mm256_castps_si256(x), _mm256_set1_epi32(0xffff)));
  }
  static i side_by_side(const f* four, int mask) {
    const __m256i keep = _mm256_set1_epi32(mask);
    i all = {_mm256_and_si256(_mm256_castps_si256(four[0].low), keep),
             _mm256_and_si256(_mm256_castps_si256(four[0].high), keep)};
    for (int n = 1; n < 4; ++n) {
      const __m128i shift = _mm_cvtsi32_si128(8 * n);
      const __m256i low = _mm256_and_si256(_mm256_castps_si256(four[n].low), keep);
      const __m256i high = _mm256_and_si256(_mm256_castps_si256(four[n].high), keep);
      all = {_mm256_or_si256(all.low, _mm256_sll_epi32(low, shift)),
             _mm256_or_si256(all.high, _mm256_sll_epi32(high, shift))};
    }
    return all;
  }
  static i first_lanes(uint32_t count) {
    const __m256i all = _mm256_set1_epi32(static_cast<int32_t>(count));
    return {_mm256_cmpgt_epi32(all, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
            _mm256_cmpgt_epi32(all, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15))};
  }
  static __m256 widened_bf16(const uint16_t* p) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static __m256 times_power(__m256 x, __m256 shifted) {
    const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(0x4b400000));
    const __m256i half = _mm256_srai_epi32(n, 1);
    const __m256i bias = _mm256_set1_epi32(127);
    const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(x, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
  }
};

inline __m256i four_everywhere(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, 4);
  return _mm256_set1_epi32(four);
}

template <>
struct simd::block_sum<128> { // int8, signed after load_int8
  i sum;
  void start(int32_t) { sum = {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  void add(quad w, const int8_t* x) {
    const __m256i four = four_everywhere(x);
    sum.low = _mm256_add_epi32(sum.low, dot(w.low, four));
    sum.high = _mm256_add_epi32(sum.high, dot(w.high, four));
  }
  f finish(int32_t) { return {_mm256_cvtepi32_ps(sum.low), _mm256_cvtepi32_ps(sum.high)}; }

private:
  static __m256i dot(__m256i w, __m256i x) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }
};

template <>
struct simd::block_sum<8> { // int4
  i pairs;
  void start(int32_t) { pairs = {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  void add(quad w, const int8_t* x) {
    const __m256i four = four_everywhere(x);
    pairs.low = _mm256_add_epi16(pairs.low, _mm256_maddubs_epi16(w.low, four));
    pairs.high = _mm256_add_epi16(pairs.high, _mm256_maddubs_epi16(w.high, four));
  }
  f finish(int32_t x_sum) {
    const __m256i one = _mm256_set1_epi16(1);
    const __m256i offset = _mm256_set1_epi32(-8 * x_sum);
    return {_mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_madd_epi16(pairs.low, one), offset)),
            _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_madd_epi16(pairs.high, one), offset))};
  }
};

} // namespace troupe::compute::avx2

#endif
