// One tensor of a checkpoint as its file stores it.
#pragma once

#include "compute/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe::model {

struct block_format;

// The bytes belong to whoever mapped the file and need not be aligned.
struct stored_tensor {
  std::string name;
  std::string type_name;              // as the file spells it: "BF16"
  std::optional<compute::dtype> type; // unset: in blocks, or in a type weights cannot have
  std::vector<uint64_t> shape;
  std::span<const std::byte> data;
  uint64_t data_begin = 0;              // within the data part of its file
  std::string file;                     // for messages
  const block_format* blocks = nullptr; // set: stored in blocks that can be decoded
  // Above zero: the rows of this many heads are stored in the order that pairs up neighbours for
  // the rotary embedding (0, n/2, 1, n/2 + 1, …), as llama.cpp's converter writes them. Readers
  // hand them out in the order of the original checkpoint.
  uint32_t paired_heads = 0;
  std::span<const std::byte> scales{}; // of squares of weights (model/fp8.hpp); empty: none

  bool is_readable() const { return type.has_value() || blocks != nullptr; }
  uint64_t elements() const;
  std::string shape_text() const; // "[2, 3]"
};

} // namespace troupe::model
