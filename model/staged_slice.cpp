// Decoding of blocks and undoing of paired rows.
#include "model/staged_slice.hpp"

#include "base/check.hpp"
#include "model/fp8.hpp"
#include "model/gguf/block_formats.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace troupe::model {
namespace {

// The stored row that holds row `row` of the original: of n rows of a head, the first half stands
// at the even places and the second half at the odd ones.
size_t stored_row(size_t row, size_t head_rows) {
  const size_t inside = row % head_rows, half = head_rows / 2;
  const size_t at = inside < half ? 2 * inside : 2 * (inside - half) + 1;
  return row - inside + at;
}

// Elements [begin, end) of a tensor in blocks.
void decode_range(const stored_tensor& from, size_t begin, size_t end, float* out) {
  const auto& format = *from.blocks;
  std::array<float, block_elements_max> cut;
  for (size_t at = begin; at < end;) {
    const size_t block = at / format.elements, first = at % format.elements;
    const size_t count = std::min<size_t>(format.elements - first, end - at);
    const std::byte* bytes = from.data.data() + block * format.bytes;
    if (count == format.elements) {
      format.decode(bytes, out);
    } else {
      format.decode(bytes, cut.data());
      std::copy_n(cut.data() + first, count, out);
    }
    out += count;
    at += count;
  }
  if (!from.scales.empty()) apply_fp8_scales(from, begin, end - begin, out - (end - begin));
}

float plain_value(compute::dtype type, const std::byte* bytes) {
  if (type == compute::dtype::f32) {
    float value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return type == compute::dtype::bf16 ? compute::bf16_to_f32(bits) : compute::f16_to_f32(bits);
}

} // namespace

staged_slice::staged_slice(const stored_tensor& from, const tensor_slice& part)
    : source_{.data = from.data.data(),
              .type = compute::dtype::f32,
              .rows = part.rows,
              .cols = part.cols,
              .row_stride = part.row_stride,
              .col_stride = part.col_stride} {
  TROUPE_CHECK(from.is_readable());
  if (from.type) {
    source_.type = *from.type;
    source_.data = from.data.data() + part.offset * compute::dtype_bytes(*from.type);
  } else {
    decode(from, part);
  }
  if (from.paired_heads > 0) {
    TROUPE_CHECK(part.offset == 0 && part.col_stride == 1 && part.row_stride == part.cols &&
                 size_t{part.rows} * part.cols == from.elements());
    reorder(from);
  }
}

void staged_slice::decode(const stored_tensor& from, const tensor_slice& part) {
  if (part.rows == 0 || part.cols == 0) return;
  const size_t count =
      (part.rows - size_t{1}) * part.row_stride + (part.cols - size_t{1}) * part.col_stride + 1;
  TROUPE_CHECK(part.offset + count <= from.elements());
  decoded_.resize(count);
  decode_range(from, part.offset, part.offset + count, decoded_.data());
  source_.data = reinterpret_cast<const std::byte*>(decoded_.data());
}

void staged_slice::reorder(const stored_tensor& from) {
  const size_t row_bytes = source_.cols * compute::dtype_bytes(source_.type);
  const size_t head_rows = source_.rows / from.paired_heads;
  reordered_.resize(source_.rows * row_bytes);
  const auto* stored = static_cast<const std::byte*>(source_.data);
  for (size_t row = 0; row < source_.rows; ++row) {
    std::memcpy(reordered_.data() + row * row_bytes,
                stored + stored_row(row, head_rows) * row_bytes, row_bytes);
  }
  source_.data = reordered_.data();
}

uint64_t stored_bytes(const stored_tensor& tensor, uint64_t elements) {
  if (tensor.type) return elements * compute::dtype_bytes(*tensor.type);
  return tensor.blocks == nullptr ? 0 : elements / tensor.blocks->elements * tensor.blocks->bytes;
}

void values_of(const stored_tensor& tensor, size_t begin, std::span<float> out) {
  if (!tensor.type) return decode_range(tensor, begin, begin + out.size(), out.data());
  const size_t width = compute::dtype_bytes(*tensor.type);
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = plain_value(*tensor.type, tensor.data.data() + (begin + i) * width);
}

std::vector<float> values_of(const stored_tensor& tensor) {
  const size_t count = tensor.elements();
  std::vector<float> out(count);
  values_of(tensor, 0, out);
  if (tensor.paired_heads == 0) return out;
  const size_t rows = tensor.shape.front(), head_rows = rows / tensor.paired_heads;
  const size_t cols = count / rows;
  std::vector<float> ordered(count);
  for (size_t row = 0; row < rows; ++row)
    std::copy_n(out.data() + stored_row(row, head_rows) * cols, cols, ordered.data() + row * cols);
  return ordered;
}

} // namespace troupe::model
