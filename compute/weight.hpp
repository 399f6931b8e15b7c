// Weight matrices in the layout the kernels read, and how they are made from stored tensors.
#pragma once

#include "base/status.hpp"
#include "compute/dtype.hpp"
#include "compute/tensor.hpp"
#include "compute/weight_layout.hpp"

#include <cstdint>
#include <optional>

namespace troupe::compute {

// A stored matrix [rows, cols] = [outputs, inputs], somewhere in memory (for example a mapped
// file). Element (r, c) is at data + (r * row_stride + c * col_stride) elements; no alignment is
// assumed.
struct matrix_source {
  const void* data = nullptr;
  dtype type = dtype::f32;
  uint32_t rows = 0;
  uint32_t cols = 0;
  size_t row_stride = 0;
  size_t col_stride = 1;
};

// y = x * transpose(W): W has `outputs` rows of `inputs` weights. Packed in panels of output
// columns so that one vector load serves neighbouring outputs; the layout is the kernels' own
// business. Immutable once made; may be read by any thread.
class weight_matrix {
public:
  static constexpr uint32_t panel = weight_layout::panel; // output columns side by side

  weight_matrix() = default;
  weight_matrix(weight_format format, uint32_t outputs, uint32_t inputs);

  weight_format format() const { return format_; }
  uint32_t outputs() const { return outputs_; }
  uint32_t inputs() const { return inputs_; }
  bool empty() const { return outputs_ == 0; }
  size_t bytes() const { return values_.bytes() + scales_.bytes(); }
  weight_layout layout() const { return {format_, outputs_, inputs_}; }

  // Packed storage; compute/weight_layout.hpp says where what lies.
  const buffer& values() const { return values_; }
  const buffer& scales() const { return scales_; }
  buffer& values() { return values_; }
  buffer& scales() { return scales_; }

  // Nothing when there is no memory for it. With an arena: next to what was made there before.
  static std::optional<weight_matrix> try_make(weight_format format, uint32_t outputs,
                                               uint32_t inputs, buffer_arena* arena = nullptr);

private:
  weight_format format_ = weight_format::f32;
  uint32_t outputs_ = 0;
  uint32_t inputs_ = 0;
  buffer values_;
  buffer scales_; // block formats
};

struct kernel_table;

// Packs panels [panel_begin, panel_end) of `source` into `out` (made for the same shape); callers
// split the range over threads. Widening is exact; narrowing to bf16/f16 rounds to nearest even;
// the block formats choose their scales per block. Fails with `corrupt` when a weight is NaN or
// infinite, naming row and column. Vector kernels, where given, make block formats faster, to the
// same bytes.
status pack_panels(const matrix_source& source, uint32_t panel_begin, uint32_t panel_end,
                   weight_matrix& out, const kernel_table* kernels = nullptr);

// The same for the whole matrix on the calling thread; `exhausted` without memory.
result<weight_matrix> pack(const matrix_source& source, weight_format format);

// Row `output` of the matrix as f32 (dequantised): out has inputs() floats. The definition of what
// a packed weight means.
void unpack_row(const weight_matrix& matrix, uint32_t output, float* out);

// The stored integer of an element and the scale of its block, for the block formats.
int quant_at(const weight_matrix& matrix, uint32_t output, uint32_t input);
float scale_at(const weight_matrix& matrix, uint32_t output, uint32_t block);

} // namespace troupe::compute
