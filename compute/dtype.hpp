// Number formats: what checkpoints store and what weights are kept in.
#pragma once

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
// inputs of an output column: value = scale * q with q in [-127, 127] (int8) or [-8, 7] (int4), which
// is exact in f32. An int4 scale may be negative.
enum class weight_format : uint8_t { f32, bf16, f16, int8, int4 };

inline constexpr uint32_t quant_block = 32; // inputs that share a scale

std::string_view to_string(weight_format format);
std::optional<weight_format> parse_weight_format(std::string_view name);

// Exact widenings, and narrowing with round to nearest even (NaN stays NaN).
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);

} // namespace troupe::compute
