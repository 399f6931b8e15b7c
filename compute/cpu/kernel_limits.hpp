// How fast a vector unit can read memory and multiply integers when it does nothing else.
#pragma once

#include "compute/cpu/kernel_table.hpp"

namespace troupe::compute {

template <class S>
struct limit_kernels {
  // The sum of all floats; `count` is a multiple of 128.
  static float read_floats(const float* floats, size_t count) {
    typename S::f sums[8];
#pragma GCC unroll 8
    for (int n = 0; n < 8; ++n) sums[n] = S::set(0.0f);
    for (size_t i = 0; i < count; i += 128) {
#pragma GCC unroll 8
      for (int n = 0; n < 8; ++n) sums[n] = S::add(sums[n], S::load(floats + i + n * 16));
    }
#pragma GCC unroll 8
    for (int n = 1; n < 8; ++n) sums[0] = S::add(sums[0], sums[n]);
    return S::tree_sum(sums[0]);
  }

  // The integer products of the block formats on operands that stay in registers; returns how many
  // multiplications and additions that were.
  static uint64_t multiply_integers(uint64_t rounds, float* result) {
    constexpr int count = S::limit_sums;
    alignas(64) uint8_t weights[128] = {1, 2, 3};
    int8_t x[8] = {1, -1, 2};
    typename S::template block_sum<8> sums[count];
#pragma GCC unroll 16
    for (int n = 0; n < count; ++n) sums[n].start(n);
    for (uint64_t i = 0; i < rounds; ++i) {
      // The compiler must not know that the operands are always the same.
      asm volatile("" : "+m"(weights), "+m"(x));
      typename S::quad first;
      typename S::quad second;
      S::load_int8(weights, first, second);
#pragma GCC unroll 16
      for (int n = 0; n < count; ++n) sums[n].add(first, x);
#pragma GCC unroll 16
      for (int n = 0; n < count; ++n) sums[n].add(second, x + 4);
    }
    typename S::f all = S::set(0.0f);
#pragma GCC unroll 16
    for (int n = 0; n < count; ++n) all = S::add(all, sums[n].finish(0));
    S::store(result, all);
    constexpr uint64_t operations = 2 * 64; // of a product: 64 pairs
    return rounds * count * 2 * operations;
  }
};

} // namespace troupe::compute
