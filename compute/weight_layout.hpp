// Where the elements of a packed weight matrix lie. Output columns are packed in panels of 16, and up
// to four neighbouring panels form a group that is stored as one contiguous stream, so that a product
// with a single row reads memory in one direction with four independent sums:
//   f32, bf16, f16  values [group][k][panel of the group][16 columns]
//   int8            values [group][block][panel][k / 4 of the block: 8][16 columns][4], q + 128
//   int4            values [group][block][panel][k / 8 of the block: 4][16 columns][4], q + 8 in nibbles:
//                   the low nibble belongs to quadruple 2j of the block's inputs, the high to 2j + 1
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

  bool quantised() const {
    return format == weight_format::int8 || format == weight_format::int4;
  }
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
      case weight_format::f32: return size_t{inputs} * panel * 4;
      case weight_format::bf16:
      case weight_format::f16: return size_t{inputs} * panel * 2;
      case weight_format::int8: return size_t{blocks()} * quant_block * panel;
      case weight_format::int4: return size_t{blocks()} * quant_block * panel / 2;
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
  // Index of a scale, and the position of the (block, panel) of an output among all such.
  size_t scale_index(uint32_t output, uint32_t block) const {
    return tile_index(output, block) * panel + output % panel;
  }
  size_t tile_index(uint32_t output, uint32_t block) const {
    const uint32_t group = output / group_columns;
    return size_t{group} * group_panels * blocks() + size_t{block} * width(group) +
           output % group_columns / panel;
  }
  // Byte of an int8 or int4 element.
  size_t quant_byte(uint32_t output, uint32_t input) const {
    const uint32_t within = input % quant_block;
    const uint32_t quad = within / 4;
    const size_t tile = tile_index(output, input / quant_block);
    const uint32_t column = output % panel;
    if (format == weight_format::int8) {
      return tile * (quant_block * panel) + quad * 64 + column * 4 + within % 4;
    }
    return tile * (quant_block * panel / 2) + quad / 2 * 64 + column * 4 + within % 4;
  }
  // Whether an int4 element sits in the high nibble of its byte.
  static bool high_nibble(uint32_t input) { return input % quant_block / 4 % 2 == 1; }
};

} // namespace troupe::compute
