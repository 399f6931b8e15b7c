// SipHash-2-4 with 128 bits (Aumasson and Bernstein 2012): a hash that nobody can aim at, or undo,
// without its key.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>

namespace troupe::storage {

struct hash_key {
  uint64_t first = 0;
  uint64_t second = 0;
};

struct keyed_digest {
  uint64_t first = 0;
  uint64_t second = 0;
  friend auto operator<=>(const keyed_digest&, const keyed_digest&) = default;
};

// The same on every machine.
keyed_digest keyed_hash(const hash_key& key, std::span<const std::byte> bytes);

} // namespace troupe::storage
