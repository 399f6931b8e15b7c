// The kernels of one instruction set as a table of functions on plain pointers. What is split over
// threads, checked and remembered stays outside, in code that any processor can run; only what is
// behind this table is compiled for a vector unit, and it includes nothing but intrinsics, so that
// no inline function of a shared header leaks out of it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace troupe::compute {

// Where a product's tile goes: `columns` (at most 64) columns of some rows.
struct tile_output {
  float* y;
  size_t y_stride;
  const float* bias;     // or null
  const float* residual; // or null
  size_t residual_stride;
  uint32_t columns;
};

// Rows times one group of panels (compute/weight_layout.hpp).
struct float_tile {
  const float* x;
  size_t x_stride;
  uint32_t rows;
  uint32_t inputs;
  const void* weights;
  uint32_t width; // panels of the group
  tile_output out;
};

// The same for the block formats, with rows that are quantised already.
struct block_tile {
  const int8_t* x;       // [rows, blocks * 32]
  const float* x_scales; // [rows, blocks]
  const int32_t* x_sums; // [rows, blocks], of the integers of a block
  uint32_t rows;
  uint32_t blocks;
  const uint8_t* weights;
  const uint16_t* scales; // bf16
  uint32_t width;
  const uint8_t* next; // weights that come next, as many bytes; or null
  tile_output out;
};

// Rows of one sequence against one key-value head. A query is a (row, head) pair; queries are
// numbered row by row. Queries times 64 positions fit the scratch.
struct attention_tile {
  const float* q; // first head of the first row
  size_t q_stride;
  uint32_t rows;
  uint32_t heads; // query heads per row in this tile
  uint32_t key_dim;
  uint32_t value_dim;
  const uint32_t* positions; // [rows]
  uint32_t window;
  float scale;
  const float* pages; // of all sequences
  size_t page_floats;
  const uint32_t* page_numbers; // of this sequence, in position order; only visible ones are read
  uint32_t page_tokens;
  size_t key_offset;   // of this head inside a page
  size_t value_offset; // of this head inside a page
  bool value_in_key;
  float* y;
  size_t y_stride;
  float* scratch; // attention_scratch_floats(...)
};

// All heads of one row. styles are those of rope_style.
struct rope_row {
  float* x; // first rotary column of the first head
  uint32_t heads;
  uint32_t head_dim;
  uint32_t pairs;
  uint32_t style;
  const float* cosines; // [pairs]
  const float* sines;   // [pairs]
  float* scratch;       // [2 * pairs]
};

struct combine_row {
  const float* const* rows; // [count]
  const float* weights;     // [count]
  uint32_t count;
  const float* shared;   // or null
  const float* residual; // or null
  float* y;
  uint32_t columns;
};

// A block of 32 inputs of 16 output columns of weights, to be packed.
struct weight_block {
  const float* weights; // [32][16], finite
  uint8_t* values;      // of the first octet of the panel (compute/weight_layout.hpp)
  size_t octet_stride;
  uint16_t* scales; // [16], bf16
};

struct kernel_table {
  void (*matmul_f32)(const float_tile& tile);
  void (*matmul_bf16)(const float_tile& tile);
  void (*matmul_f16)(const float_tile& tile);
  void (*matmul_int8)(const block_tile& tile);
  void (*matmul_int4)(const block_tile& tile);
  // x [count] into blocks of 32; missing inputs of the last block become zero.
  void (*quantise_row)(const float* x, uint32_t count, int8_t* q, float* scales, int32_t* sums);
  void (*attend)(const attention_tile& tile);
  void (*rms_norm)(const float* x, uint32_t count, const float* gain, float eps, float* y);
  void (*gated_activation)(uint32_t kind, const float* gate, const float* up, uint32_t count,
                           float* y);
  void (*rope)(const rope_row& row);
  void (*softmax)(const float* x, uint32_t count, float* y);
  void (*sigmoid)(const float* x, uint32_t count, float* y);
  void (*combine)(const combine_row& row);
  void (*clamp)(const float* x, float limit, uint32_t count, float* y);
  void (*scale)(const float* x, float factor, uint32_t count, float* y);
  void (*pack_int8)(const weight_block& block);
  void (*pack_int4)(const weight_block& block);
  // For measuring what is possible (compute/cpu/kernel_limits.hpp).
  float (*read_floats)(const float* floats, size_t count);
  uint64_t (*multiply_integers)(uint64_t rounds, float* result); // result [16]
};

// Floats of scratch that a tile of `queries` queries needs.
inline size_t attention_scratch_floats(uint32_t queries, uint32_t key_dim, uint32_t value_dim) {
  const size_t rounded = (queries + 15) / 16 * 16;
  return rounded * (size_t{64} + key_dim + 2 * (size_t{value_dim} + 64) + 16);
}

const kernel_table& avx2_kernels();
const kernel_table& avx512_kernels();

} // namespace troupe::compute
