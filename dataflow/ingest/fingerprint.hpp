// What makes two documents the same, or nearly: a hash of the words in order, and Charikar's
// SimHash of runs of words, in which texts that share most of their runs differ in few bits.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace troupe::dataflow {

struct text_fingerprint {
  uint64_t exact = 0;   // of the words; case, signs and white space do not count
  uint64_t similar = 0; // of runs of words
  uint64_t words = 0;

  friend bool operator==(const text_fingerprint&, const text_fingerprint&) = default;
};

inline constexpr uint32_t fingerprint_run = 3; // words of a run

// A text without words is known by its bytes.
text_fingerprint fingerprint_of(std::string_view text);

inline uint32_t bits_apart(uint64_t a, uint64_t b) {
  return static_cast<uint32_t>(std::popcount(a ^ b));
}

} // namespace troupe::dataflow
