// Number formats: what checkpoints store and what weights are kept in.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::compute {

// Element type of a stored tensor.
enum class dtype : uint8_t { f32, bf16, f16 };

size_t dtype_bytes(dtype type);
std::string_view to_string(dtype type);

// How a weight matrix is kept for computing. The block formats have one scale (kept as bf16) per 32
// inputs of an output column: value = scale * q with q in [-127, 127] (int8) or [-8, 7] (int4),
// which is exact in f32. An int4 scale may be negative.
enum class weight_format : uint8_t { f32, bf16, f16, int8, int4 };

inline constexpr uint32_t quant_block = 32; // inputs that share a scale

std::string_view to_string(weight_format format);
std::optional<weight_format> parse_weight_format(std::string_view name);

// Exact widenings, and narrowing with round to nearest even (NaN stays NaN).
inline float bf16_to_f32(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16);
}
inline uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  // A NaN stays one even when its payload sits in the dropped bits.
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x0040u);
  const uint32_t odd = (bits >> 16) & 1;
  return static_cast<uint16_t>((bits + 0x7fffu + odd) >> 16);
}
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);

} // namespace troupe::compute
