// The GGUF container (versions 2 and 3, little-endian): metadata and tensors over bytes that
// somebody else mapped.
#pragma once

#include "base/status.hpp"
#include "model/stored_tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

// The numbers are those of the file format.
enum class gguf_type : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};
std::string_view to_string(gguf_type type);

// One value of the metadata, as it stands in the file.
struct gguf_value {
  gguf_type type = gguf_type::u8;
  gguf_type element = gguf_type::u8; // of an array
  uint64_t count = 1;                // elements of an array
  std::span<const std::byte> bytes;  // of a number, the letters of a string, the elements in a row
};

// Integers and booleans; unset for anything else and for what does not fit.
std::optional<int64_t> integer_of(gguf_type type, std::span<const std::byte> bytes);
// f32 (through its shortest decimal form, so that 1e-5 stays 1e-5), f64 and integers.
std::optional<double> number_of(gguf_type type, std::span<const std::byte> bytes);
size_t bytes_of(gguf_type type); // of one number; 0 for strings and arrays

class gguf_file {
public:
  // Checks every count, length, type, offset and shape against the bytes that are there, before
  // anything is kept. `bytes` must stay valid as long as values and tensors are used. What the file
  // says about itself takes memory in proportion to its size.
  static result<gguf_file> parse(std::string file, std::span<const std::byte> bytes);

  const std::string& file() const { return file_; }
  uint32_t version() const { return version_; }
  const std::map<std::string, gguf_value, std::less<>>& metadata() const { return metadata_; }
  const gguf_value* find_value(std::string_view key) const;

  // By name. Shapes have the slowest dimension first, as in other checkpoints; files have it last.
  const std::map<std::string, stored_tensor, std::less<>>& tensors() const { return tensors_; }
  const stored_tensor* find_tensor(std::string_view name) const;

private:
  friend class gguf_parser;
  std::string file_;
  uint32_t version_ = 0;
  std::map<std::string, gguf_value, std::less<>> metadata_;
  std::map<std::string, stored_tensor, std::less<>> tensors_;
};

} // namespace troupe::model
