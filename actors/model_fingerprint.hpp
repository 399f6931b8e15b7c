// A cheap identity of a model: the same files in the same format give the same number on every
// machine. Not for security: whoever wants to can make two models collide.
#pragma once

#include "model/safetensors.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace troupe::actors {

class fingerprint_builder {
public:
  // Each text counts with its length, so that moving a byte from one to the next changes the value.
  void add_text(std::string_view content);
  void add_file(std::string_view name, uint64_t bytes);
  // Name, type, shape, place and a sample of the values: all of a small tensor, evenly spread
  // pieces of a large one, so that models of many gigabytes cost milliseconds.
  void add_tensor(const model::stored_tensor& tensor);

  uint64_t value() const;

private:
  void add_word(uint64_t word);
  void add_bytes(std::span<const std::byte> bytes);

  uint64_t state_ = 0x9e3779b97f4a7c15;
};

} // namespace troupe::actors
