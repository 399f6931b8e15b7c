// The safetensors container: names, types and shapes of tensors over bytes that somebody else
// mapped. 8 bytes little-endian header length, a JSON header, then the data without holes.
#pragma once

#include "base/status.hpp"
#include "model/stored_tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

inline constexpr uint64_t safetensors_header_max = 100'000'000; // the format's own limit

class safetensors_file {
public:
  // Checks everything the header promises against the bytes that are there. `bytes` must stay valid
  // as long as the tensors are used.
  static result<safetensors_file> parse(std::string file, std::span<const std::byte> bytes);

  const std::string& file() const { return file_; }
  const std::vector<stored_tensor>& tensors() const { return tensors_; } // by name
  const stored_tensor* find(std::string_view name) const;

private:
  std::string file_;
  std::vector<stored_tensor> tensors_;
};

// What stands before the data of a new file: its tensors, whose bytes follow in this order.
struct tensor_to_store {
  std::string name;
  std::string type_name; // "BF16"
  std::vector<uint64_t> shape;
  uint64_t bytes = 0;
};
std::string safetensors_header(std::span<const tensor_to_store> tensors);

} // namespace troupe::model
