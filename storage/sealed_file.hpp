// The wrapping of a small file that must be whole or refused: what it is, which version, how long,
// and a checksum.
//
// Bytes: 8 magic; 8 checksum of everything behind it; 4 version; 4 zero; 8 length of the content;
// the content. Numbers lowest byte first.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace troupe::storage {

struct file_kind {
  std::string_view magic; // 8 characters
  uint32_t version;
};

inline constexpr size_t seal_bytes = 32;

std::vector<std::byte> seal(const file_kind& kind, std::span<const std::byte> content);

// The same where the content is already in its place, behind seal_bytes: nothing is copied.
void seal_in_place(const file_kind& kind, std::span<std::byte> file);

// The content, within `file`. `corrupt` unless every byte is as it was written; `unsupported` for
// another version. The caller adds the name of the file.
result<std::span<const std::byte>> unseal(const file_kind& kind, std::span<const std::byte> file);

} // namespace troupe::storage
