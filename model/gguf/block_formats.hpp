// The block formats of GGUF files: how many weights share a block of bytes, and what they are worth
// in f32.
#pragma once

#include "compute/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace troupe::model {

// Block formats, and the plain types as blocks of one. The numbers of the types are the file
// format's and never change.
struct block_format {
  uint32_t number = 0; // in the file
  std::string_view name;
  uint32_t elements = 1; // of a block; rows consist of whole blocks
  uint32_t bytes = 1;
  std::optional<compute::dtype> type = std::nullopt; // plain types that weights are read from
  // Writes `elements` values in the arithmetic of the format's definition (f32, no fused
  // operations). Null where blocks cannot be read.
  void (*decode)(const std::byte* block, float* values) = nullptr;
  // What a matrix is kept in when nobody chose: the narrowest of ours that adds little to the
  // format's own error.
  compute::weight_format kept_as = compute::weight_format::int8;
};

inline constexpr uint32_t block_elements_max = 256;

// Null for a number that no type has.
const block_format* find_block_format(uint32_t number);
const block_format* find_block_format(std::string_view name);
std::span<const block_format> block_formats();

} // namespace troupe::model
