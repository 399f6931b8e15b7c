// Where the elements of a packed weight matrix lie. Output columns are packed in panels of 16, and
// up to four neighbouring panels form a group that is stored as one contiguous stream, so that a
// product with a single row reads memory in one direction with four independent sums:
//   f32, bf16, f16  values [group][k][panel of the group][16 columns]
//   int8            values [group][block][octet: 4][panel][quadruple of the octet: 2][16
//   columns][4],
//                   q + 128; an octet is eight inputs of the block, a quadruple four
//   int4            values [group][block][octet: 4][panel][16 columns][4], q + 8 in nibbles: the
//   low one
//                   belongs to the first quadruple of the octet, the high one to the second
//   int8, int4      scales [group][block][panel][16 columns], bf16
// The last group may have fewer panels. Missing columns and inputs are zero.
#pragma once

#include "compute/dtype.hpp"

#include <cstddef>
#include <cstdint>

namespace troupe::compute {

struct weight_layout {
  static constexpr uint32_t panel = 16;
  static constexpr uint32_t group_panels = 4;
  static constexpr uint32_t group_columns = panel * group_panels;

  weight_format format = weight_format::f32;
  uint32_t outputs = 0;
  uint32_t inputs = 0;

  bool quantised() const { return format == weight_format::int8 || format == weight_format::int4; }
  uint32_t panels() const { return (outputs + panel - 1) / panel; }
  uint32_t groups() const { return (panels() + group_panels - 1) / group_panels; }
  uint32_t blocks() const { return (inputs + quant_block - 1) / quant_block; }
  // Panels of a group: four, or what is left for the last one.
  uint32_t width(uint32_t group) const {
    const uint32_t left = panels() - group * group_panels;
    return left < group_panels ? left : group_panels;
  }

  // Bytes that one panel takes in the values.
  size_t panel_bytes() const {
    switch (format) {
      case weight_format::f32:
        return size_t{inputs} * panel * 4;
      case weight_format::bf16:
      case weight_format::f16:
        return size_t{inputs} * panel * 2;
      case weight_format::int8:
        return size_t{blocks()} * quant_block * panel;
      case weight_format::int4:
        return size_t{blocks()} * quant_block * panel / 2;
    }
    return 0;
  }
  size_t value_bytes() const { return panels() * panel_bytes(); }
  size_t scale_bytes() const {
    return quantised() ? size_t{panels()} * blocks() * panel * sizeof(uint16_t) : 0;
  }
  size_t group_offset(uint32_t group) const { return size_t{group} * group_panels * panel_bytes(); }

  // Index of (output, input) among the stored numbers of a float format.
  size_t float_index(uint32_t output, uint32_t input) const {
    const uint32_t group = output / group_columns;
    return size_t{group} * group_columns * inputs + size_t{input} * width(group) * panel +
           output % group_columns;
  }
  size_t scale_index(uint32_t output, uint32_t block) const {
    const uint32_t group = output / group_columns;
    return (size_t{group} * group_panels * blocks() + size_t{block} * width(group)) * panel +
           output % group_columns;
  }
  // Bytes of one octet of one panel.
  size_t octet_bytes() const { return format == weight_format::int8 ? 2 * panel * 4 : panel * 4; }
  // Byte of an int8 or int4 element.
  size_t quant_byte(uint32_t output, uint32_t input) const {
    const uint32_t group = output / group_columns;
    const size_t octet = size_t{input} / 8 * width(group) + output % group_columns / panel;
    const uint32_t second = format == weight_format::int8 ? input / 4 % 2 : 0;
    return group_offset(group) + octet * octet_bytes() + second * (panel * 4) + output % panel * 4 +
           input % 4;
  }
  // Whether an int4 element sits in the high nibble of its byte.
  static bool high_nibble(uint32_t input) { return input / 4 % 2 == 1; }
};

} // namespace troupe::compute
