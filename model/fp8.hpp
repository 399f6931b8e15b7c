// Weights of one byte with a scale for every 128 x 128 of them, as DeepSeek-V3 and others ship
// theirs: `X.weight` in F8_E4M3 and `X.weight_scale_inv` in F32. A weight is worth its byte times
// the scale of its square, in f32 (weight_dequant in DeepSeek-V3's inference/kernel.py).
#pragma once

#include "model/stored_tensor.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace troupe::model {

inline constexpr uint32_t fp8_square = 128; // rows and columns that share a scale
inline constexpr std::string_view fp8_type = "F8_E4M3";
inline constexpr std::string_view fp8_scale_suffix = "_scale_inv";

// One sign, four exponent bits (bias 7), three of mantissa; no infinity, and NaN is 0x7f and 0xff
// (Micikevicius et al., FP8 Formats for Deep Learning, 2022).
float e4m3_to_f32(uint8_t bits);

// Makes the tensors of this type readable that have their scales; the type names of the others say
// what they lack.
void attach_fp8_scales(std::map<std::string, stored_tensor, std::less<>>& tensors);

// Elements [begin, begin + count) of a tensor with scales, decoded to what their bytes say: times
// their scales. Shapes of more than two dimensions are matrices behind one another.
void apply_fp8_scales(const stored_tensor& tensor, size_t begin, size_t count, float* values);

} // namespace troupe::model
