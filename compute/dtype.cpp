// Names of the number formats and the conversions between them, bit by bit.
#include "compute/dtype.hpp"

#include <bit>

namespace troupe::compute {

size_t dtype_bytes(dtype type) {
  return type == dtype::f32 ? 4 : 2;
}

std::string_view to_string(dtype type) {
  switch (type) {
    case dtype::f32:
      return "f32";
    case dtype::bf16:
      return "bf16";
    case dtype::f16:
      return "f16";
  }
  return "?";
}

std::string_view to_string(weight_format format) {
  switch (format) {
    case weight_format::f32:
      return "f32";
    case weight_format::bf16:
      return "bf16";
    case weight_format::f16:
      return "f16";
    case weight_format::int8:
      return "int8";
    case weight_format::int4:
      return "int4";
  }
  return "?";
}

std::optional<weight_format> parse_weight_format(std::string_view name) {
  for (const auto format : {weight_format::f32, weight_format::bf16, weight_format::f16,
                            weight_format::int8, weight_format::int4}) {
    if (to_string(format) == name) return format;
  }
  return std::nullopt;
}

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0) { // zero or denormal: mantissa * 2^-24, exact
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) { // infinity or NaN; a NaN becomes quiet, as the hardware conversion does
    const uint32_t quiet = mantissa != 0 ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13) | quiet);
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u; // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {                       // below 2^-14: a denormal, in units of 2^-24
    // Adding 1.5 * 2^23 units makes the hardware round the units to the nearest even integer.
    const float shifted = std::bit_cast<float>(magnitude) * 0x1p24f + 12582912.0f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) & 0x7ffu));
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  const uint32_t rounded = magnitude + 0xfffu + odd - (112u << 23);
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

} // namespace troupe::compute
