// Bytes that nobody may see: the cluster's key and all that is derived from it. Wiped when they go.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::transport {

// The cluster's key has at least this many bytes.
inline constexpr size_t cluster_key_bytes_min = 32;

// Copies are wiped too. There is deliberately no way to print one but hex(), which is for the file
// that keeps the key.
class secret {
public:
  secret() = default;
  explicit secret(std::span<const std::byte> bytes) : bytes_(bytes.begin(), bytes.end()) {}
  secret(const secret& other) = default;
  secret(secret&& other) noexcept : bytes_(std::move(other.bytes_)) { other.bytes_.clear(); }
  secret& operator=(const secret& other);
  secret& operator=(secret&& other) noexcept;
  ~secret() { wipe(); }

  std::span<const std::byte> bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Lower-case hexadecimal digits.
  std::string hex() const;

  // A new key from the machine's entropy.
  static secret random(size_t bytes = cluster_key_bytes_min);
  // Reads what hex() wrote; white space around it is ignored. The message of a failure does not
  // repeat the text.
  static result<secret> from_hex(std::string_view digits);

private:
  void wipe();

  std::vector<std::byte> bytes_;
};

} // namespace troupe::transport
