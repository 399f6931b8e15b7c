// Decoding of bytes, and the square that an element lies in.
#include "model/fp8.hpp"

#include "base/text.hpp"
#include "model/gguf/block_formats.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace troupe::model {
namespace {

void decode_e4m3(const std::byte* block, float* values) {
  *values = e4m3_to_f32(std::to_integer<uint8_t>(*block));
}

// One byte, and one scale for 16,384 of them; bf16 is what the published conversion keeps.
constexpr block_format format{.name = fp8_type,
                              .elements = 1,
                              .bytes = 1,
                              .decode = decode_e4m3,
                              .kept_as = compute::weight_format::bf16};

uint64_t squares(uint64_t elements) {
  return (elements + fp8_square - 1) / fp8_square;
}

std::vector<uint64_t> scale_shape(std::vector<uint64_t> shape) {
  for (size_t i = shape.size() - 2; i < shape.size(); ++i) shape[i] = squares(shape[i]);
  return shape;
}

} // namespace

float e4m3_to_f32(uint8_t bits) {
  const uint32_t exponent = bits >> 3 & 15, mantissa = bits & 7;
  float value = std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0)
    value = std::ldexp(static_cast<float>(mantissa), -9);
  else if (exponent != 15 || mantissa != 7)
    value = std::ldexp(static_cast<float>(8 + mantissa), static_cast<int>(exponent) - 10);
  return (bits & 0x80) != 0 ? -value : value;
}

void attach_fp8_scales(std::map<std::string, stored_tensor, std::less<>>& tensors) {
  for (auto& [name, tensor] : tensors) {
    if (tensor.type_name != fp8_type) continue;
    const auto scale = tensors.find(text(name, fp8_scale_suffix));
    const bool fits = scale != tensors.end() && tensor.shape.size() >= 2 &&
                      scale->second.type == compute::dtype::f32 &&
                      scale->second.shape == scale_shape(tensor.shape);
    if (!fits) {
      tensor.type_name = text(fp8_type, " without an F32 tensor '", name, fp8_scale_suffix,
                              "' of a scale for every ", fp8_square, " x ", fp8_square, " weights");
      continue;
    }
    tensor.blocks = &format;
    tensor.scales = scale->second.data;
  }
}

void apply_fp8_scales(const stored_tensor& tensor, size_t begin, size_t count, float* values) {
  const size_t cols = tensor.shape[tensor.shape.size() - 1];
  const size_t rows = tensor.shape[tensor.shape.size() - 2];
  for (size_t at = begin; at < begin + count;) {
    const size_t col = at % cols, row = at / cols % rows, matrix = at / cols / rows;
    const size_t end =
        std::min({begin + count, at - col + cols, at - col % fp8_square + fp8_square});
    const size_t square =
        (matrix * squares(rows) + row / fp8_square) * squares(cols) + col / fp8_square;
    float scale;
    std::memcpy(&scale, tensor.scales.data() + square * sizeof scale, sizeof scale);
    for (; at < end; ++at) *values++ *= scale;
  }
}

} // namespace troupe::model
