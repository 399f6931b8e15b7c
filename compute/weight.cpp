// Packing of stored matrices: a panel's 16 rows are widened into a tile of a few hundred inputs,
// checked, and written out in the order the kernels read. Plain scalar code without fused
// operations, so a weight packs to the same bytes on every machine; the vector kernels of block
// formats do the same operations.
#include "compute/weight.hpp"

#include "base/text.hpp"
#include "compute/cpu/kernel_table.hpp"
#include "compute/quantise.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace troupe::compute {
namespace {

constexpr uint32_t panel = weight_layout::panel;
constexpr uint32_t tile_inputs = 256; // inputs widened at a time; a multiple of quant_block

// The weights of one panel for inputs [begin, begin + count); rows beyond the matrix are zero.
struct tile {
  uint32_t begin = 0;
  uint32_t count = 0;
  std::array<std::array<float, tile_inputs>, panel> rows{};
};

template <class Stored>
Stored read_at(const matrix_source& source, size_t row, size_t col) {
  Stored value;
  const size_t element = row * source.row_stride + col * source.col_stride;
  std::memcpy(&value, static_cast<const std::byte*>(source.data) + element * sizeof value,
              sizeof value);
  return value;
}

// Rows of bf16, as checkpoints mostly are, without a stride that keeps the compiler from vectors.
void widen_bf16(const std::byte* from, uint32_t count, float* out) {
  for (uint32_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, from + size_t{i} * sizeof bits, sizeof bits);
    out[i] = std::bit_cast<float>(uint32_t{bits} << 16);
  }
}

// `count` weights of a row from column `begin` on.
void widen(const matrix_source& source, size_t row, size_t begin, uint32_t count, float* out) {
  if (source.type == dtype::bf16 && source.col_stride == 1) {
    const size_t element = row * source.row_stride + begin;
    widen_bf16(static_cast<const std::byte*>(source.data) + element * 2, count, out);
    return;
  }
  switch (source.type) {
    case dtype::f32:
      for (uint32_t i = 0; i < count; ++i) out[i] = read_at<float>(source, row, begin + i);
      break;
    case dtype::bf16:
      for (uint32_t i = 0; i < count; ++i) {
        out[i] = std::bit_cast<float>(uint32_t{read_at<uint16_t>(source, row, begin + i)} << 16);
      }
      break;
    case dtype::f16:
      for (uint32_t i = 0; i < count; ++i) {
        out[i] = f16_to_f32(read_at<uint16_t>(source, row, begin + i));
      }
      break;
  }
}

bool finite(float value) {
  return (std::bit_cast<uint32_t>(value) & 0x7f800000u) != 0x7f800000u;
}

// Names the first of the weights that is NaN or infinite.
status check_finite(const float* weights, uint32_t count, uint32_t row, uint32_t begin) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < count; ++i) {
    most = std::max(most, std::bit_cast<uint32_t>(weights[i]) & 0x7fffffffu);
  }
  if (most < 0x7f800000u) return {};
  uint32_t i = 0;
  while (finite(weights[i])) ++i;
  const bool nan = (std::bit_cast<uint32_t>(weights[i]) & 0x007fffffu) != 0;
  return status(status_code::corrupt, text("weight at row ", row, ", column ", begin + i, " is ",
                                           nan ? "NaN" : "infinite"));
}

status fill(const matrix_source& source, uint32_t first_row, tile& out) {
  const uint32_t rows = std::min(panel, source.rows - first_row);
  for (uint32_t r = 0; r < rows; ++r) {
    float* row = out.rows[r].data();
    widen(source, first_row + r, out.begin, out.count, row);
    TROUPE_RETURN_IF_ERROR(check_finite(row, out.count, first_row + r, out.begin));
    std::fill(out.rows[r].begin() + out.count, out.rows[r].end(), 0.0f);
  }
  return {};
}

status narrowing_overflow(uint32_t row, uint32_t col, float value, weight_format format) {
  return status(status_code::corrupt, text("weight at row ", row, ", column ", col, " is ",
                                           double{value}, ", too large for ", to_string(format)));
}

void write_f32(const tile& from, uint32_t first_row, weight_matrix& out) {
  const weight_layout layout = out.layout();
  const uint32_t rows = std::min(panel, layout.outputs - first_row);
  const size_t step = layout.float_index(first_row, 1) - layout.float_index(first_row, 0);
  float* to = out.values().as<float>().data() + layout.float_index(first_row, from.begin);
  for (uint32_t i = 0; i < from.count; ++i, to += step) {
    for (uint32_t r = 0; r < rows; ++r) to[r] = from.rows[r][i];
  }
}

template <class Narrow, class Widen>
status write_narrow(const tile& from, uint32_t first_row, weight_matrix& out, Narrow narrow,
                    Widen widened) {
  const weight_layout layout = out.layout();
  const uint32_t rows = std::min(panel, layout.outputs - first_row);
  const size_t step = layout.float_index(first_row, 1) - layout.float_index(first_row, 0);
  uint16_t* to = out.values().as<uint16_t>().data() + layout.float_index(first_row, from.begin);
  for (uint32_t i = 0; i < from.count; ++i, to += step) {
    for (uint32_t r = 0; r < rows; ++r) {
      const float value = from.rows[r][i];
      to[r] = narrow(value);
      if (!finite(widened(to[r]))) {
        return narrowing_overflow(first_row + r, from.begin + i, value, layout.format);
      }
    }
  }
  return {};
}

status write_float(const tile& from, uint32_t first_row, weight_matrix& out) {
  switch (out.format()) {
    case weight_format::bf16:
      return write_narrow(from, first_row, out, f32_to_bf16, bf16_to_f32);
    case weight_format::f16:
      return write_narrow(from, first_row, out, f32_to_f16, f16_to_f32);
    default:
      write_f32(from, first_row, out);
      return {};
  }
}

void write_block(const tile& from, uint32_t first_row, uint32_t row, uint32_t block,
                 weight_matrix& out) {
  const weight_layout layout = out.layout();
  const uint32_t first = block * quant_block;
  const quantised_block q = layout.format == weight_format::int8
                                ? quantise_weights_int8(&from.rows[row][first - from.begin])
                                : quantise_weights_int4(&from.rows[row][first - from.begin]);
  const uint32_t output = first_row + row;
  out.scales().as<uint16_t>()[layout.scale_index(output, block)] = q.scale;
  const auto bytes = out.values().as<uint8_t>();
  for (uint32_t i = 0; i < quant_block; ++i) {
    uint8_t& byte = bytes[layout.quant_byte(output, first + i)];
    if (layout.format == weight_format::int8) {
      byte = static_cast<uint8_t>(q.values[i] + 128);
    } else {
      const auto nibble = static_cast<uint8_t>(q.values[i] + 8);
      byte = weight_layout::high_nibble(i) ? static_cast<uint8_t>((byte & 0x0fu) | (nibble << 4))
                                           : static_cast<uint8_t>((byte & 0xf0u) | nibble);
    }
  }
}

// All 16 rows, so that missing columns too hold a proper zero.
void write_blocks(const tile& from, uint32_t first_row, weight_matrix& out) {
  const uint32_t end = (from.begin + from.count + quant_block - 1) / quant_block;
  for (uint32_t block = from.begin / quant_block; block < end; ++block) {
    for (uint32_t r = 0; r < panel; ++r) write_block(from, first_row, r, block, out);
  }
}

// The same by vector kernels, which want the 16 weights of an input side by side.
void write_blocks(const tile& from, uint32_t first_row, const kernel_table& kernels,
                  weight_matrix& out) {
  const weight_layout layout = out.layout();
  const auto pack = layout.format == weight_format::int8 ? kernels.pack_int8 : kernels.pack_int4;
  const uint32_t end = (from.begin + from.count + quant_block - 1) / quant_block;
  const uint32_t group = first_row / weight_layout::group_columns;
  alignas(64) std::array<float, size_t{quant_block} * panel> turned;
  for (uint32_t block = from.begin / quant_block; block < end; ++block) {
    const uint32_t first = block * quant_block;
    for (uint32_t r = 0; r < panel; ++r) {
      const float* row = &from.rows[r][first - from.begin];
      for (uint32_t i = 0; i < quant_block; ++i) turned[size_t{i} * panel + r] = row[i];
    }
    pack({.weights = turned.data(),
          .values = out.values().as<uint8_t>().data() + layout.quant_byte(first_row, first),
          .octet_stride = layout.width(group) * layout.octet_bytes(),
          .scales = out.scales().as<uint16_t>().data() + layout.scale_index(first_row, block)});
  }
}

status pack_panel(const matrix_source& source, uint32_t index, const kernel_table* kernels,
                  weight_matrix& out) {
  tile part;
  for (part.begin = 0; part.begin < source.cols; part.begin += tile_inputs) {
    part.count = std::min(tile_inputs, source.cols - part.begin);
    TROUPE_RETURN_IF_ERROR(fill(source, index * panel, part));
    if (out.layout().quantised() && kernels != nullptr) {
      write_blocks(part, index * panel, *kernels, out);
    } else if (out.layout().quantised()) {
      write_blocks(part, index * panel, out);
    } else {
      TROUPE_RETURN_IF_ERROR(write_float(part, index * panel, out));
    }
  }
  return {};
}

} // namespace

weight_matrix::weight_matrix(weight_format format, uint32_t outputs, uint32_t inputs)
    : format_(format),
      outputs_(outputs),
      inputs_(inputs),
      values_(layout().value_bytes()),
      scales_(layout().scale_bytes()) {}

std::optional<weight_matrix> weight_matrix::try_make(weight_format format, uint32_t outputs,
                                                     uint32_t inputs, buffer_arena* arena) {
  const auto memory = [arena](size_t bytes) {
    return arena != nullptr ? arena->take(bytes) : buffer::try_make(bytes);
  };
  weight_matrix made;
  made.format_ = format;
  made.outputs_ = outputs;
  made.inputs_ = inputs;
  auto values = memory(made.layout().value_bytes());
  auto scales = memory(made.layout().scale_bytes());
  if (!values || !scales) return std::nullopt;
  made.values_ = std::move(*values);
  made.scales_ = std::move(*scales);
  return made;
}

status pack_panels(const matrix_source& source, uint32_t panel_begin, uint32_t panel_end,
                   weight_matrix& out, const kernel_table* kernels) {
  TROUPE_CHECK(source.rows == out.outputs() && source.cols == out.inputs());
  TROUPE_CHECK(panel_begin <= panel_end && panel_end <= out.layout().panels());
  for (uint32_t index = panel_begin; index < panel_end; ++index) {
    TROUPE_RETURN_IF_ERROR(pack_panel(source, index, kernels, out));
  }
  return {};
}

result<weight_matrix> pack(const matrix_source& source, weight_format format) {
  auto made = weight_matrix::try_make(format, source.rows, source.cols);
  if (!made) {
    return fail(status_code::exhausted, text("no memory for a ", to_string(format), " matrix of ",
                                             source.rows, " x ", source.cols));
  }
  if (status s = pack_panels(source, 0, made->layout().panels(), *made); !s.ok()) return fail(s);
  return std::move(*made);
}

int quant_at(const weight_matrix& matrix, uint32_t output, uint32_t input) {
  const weight_layout layout = matrix.layout();
  const uint8_t byte = matrix.values().as<uint8_t>()[layout.quant_byte(output, input)];
  if (layout.format == weight_format::int8) return int{byte} - 128;
  return (weight_layout::high_nibble(input) ? byte >> 4 : byte & 0x0f) - 8;
}

float scale_at(const weight_matrix& matrix, uint32_t output, uint32_t block) {
  return bf16_to_f32(matrix.scales().as<uint16_t>()[matrix.layout().scale_index(output, block)]);
}

void unpack_row(const weight_matrix& matrix, uint32_t output, float* out) {
  TROUPE_CHECK(output < matrix.outputs());
  const weight_layout layout = matrix.layout();
  if (layout.quantised()) {
    for (uint32_t k = 0; k < layout.inputs; ++k) {
      const auto q = static_cast<float>(quant_at(matrix, output, k));
      out[k] = scale_at(matrix, output, k / quant_block) * q;
    }
    return;
  }
  const size_t step = size_t{layout.width(output / weight_layout::group_columns)} * panel;
  size_t at = layout.inputs == 0 ? 0 : layout.float_index(output, 0);
  for (uint32_t k = 0; k < layout.inputs; ++k, at += step) {
    switch (layout.format) {
      case weight_format::bf16:
        out[k] = bf16_to_f32(matrix.values().as<uint16_t>()[at]);
        break;
      case weight_format::f16:
        out[k] = f16_to_f32(matrix.values().as<uint16_t>()[at]);
        break;
      default:
        out[k] = matrix.values().as<float>()[at];
    }
  }
}

} // namespace troupe::compute
