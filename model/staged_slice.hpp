// A rectangle of a stored tensor as a source that an executor can pack: the file's own bytes where
// they can be read in place, else a widened or reordered copy that lives as long as this does.
#pragma once

#include "compute/weight.hpp"
#include "model/stored_tensor.hpp"

namespace troupe::model {

// A rectangle of a stored tensor seen as a matrix; strides in elements.
struct tensor_slice {
  size_t offset = 0;
  uint32_t rows = 0;
  uint32_t cols = 0;
  size_t row_stride = 0;
  size_t col_stride = 1;
};

class staged_slice {
public:
  // The tensor must be readable, outlive this and hold all of the slice. Of a tensor with paired
  // heads the slice must be the whole.
  staged_slice(const stored_tensor& from, const tensor_slice& part);

  const compute::matrix_source& source() const { return source_; }

private:
  void decode(const stored_tensor& from, const tensor_slice& part);
  void reorder(const stored_tensor& from);

  std::vector<float> decoded_;
  std::vector<std::byte> reordered_;
  compute::matrix_source source_;
};

// Bytes that so many elements of the tensor take in its file.
uint64_t stored_bytes(const stored_tensor& tensor, uint64_t elements);

// Elements from `begin` on of a readable tensor without paired heads, widened to f32.
void values_of(const stored_tensor& tensor, size_t begin, std::span<float> out);
// All of them, of any readable tensor.
std::vector<float> values_of(const stored_tensor& tensor);

} // namespace troupe::model
