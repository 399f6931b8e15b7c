// Multiply and fold, eight bytes at a time.
#include "actors/model_fingerprint.hpp"

#include <algorithm>

namespace troupe::actors {
namespace {

constexpr uint64_t multiplier = 0xd6e8feb86659fd93; // odd, with well spread bits
constexpr size_t whole_bytes_max = 1024;
constexpr size_t pieces = 32;
constexpr size_t piece_bytes = 32;

uint64_t fold(uint64_t value) {
  return (value ^ (value >> 32)) * multiplier;
}

} // namespace

void fingerprint_builder::add_word(uint64_t word) {
  state_ = fold(state_ ^ fold(word)) + word;
}

void fingerprint_builder::add_bytes(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t count = std::min<size_t>(bytes.size(), 8);
    uint64_t word = 0; // little-endian by hand: the value must not depend on the machine
    for (size_t i = 0; i < count; ++i) word |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
    add_word(word);
    bytes = bytes.subspan(count);
  }
}

void fingerprint_builder::add_text(std::string_view content) {
  add_word(content.size());
  add_bytes(std::as_bytes(std::span(content)));
}

void fingerprint_builder::add_file(std::string_view name, uint64_t bytes) {
  add_text(name);
  add_word(bytes);
}

void fingerprint_builder::add_tensor(const model::stored_tensor& tensor) {
  add_text(tensor.name);
  add_text(tensor.type_name);
  add_word(tensor.shape.size());
  for (const uint64_t dimension : tensor.shape) add_word(dimension);
  add_word(tensor.data_begin);
  add_word(tensor.data.size());
  if (tensor.data.size() <= whole_bytes_max) return add_bytes(tensor.data);
  const size_t last = tensor.data.size() - piece_bytes;
  for (size_t i = 0; i < pieces; ++i)
    add_bytes(tensor.data.subspan(last * i / (pieces - 1), piece_bytes));
}

uint64_t fingerprint_builder::value() const {
  return fold(fold(state_));
}

} // namespace troupe::actors
