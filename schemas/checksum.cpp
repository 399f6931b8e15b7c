// Four independent lanes, so that a processor multiplies for several words at once.
#include "schemas/checksum.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace troupe::schemas {
namespace {

constexpr uint64_t multiplier = 0x9e3779b97f4a7c15; // odd: multiplying loses nothing
constexpr size_t word_bytes = 8;
constexpr size_t lane_count = 4;

// Every step is a bijection of the state and of the word: a changed word always changes the state.
uint64_t mix(uint64_t state, uint64_t word) {
  state = (state ^ word) * multiplier;
  return state ^ (state >> 29);
}

uint64_t word_at(const std::byte* from) {
  uint64_t word = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&word, from, word_bytes);
  } else {
    for (size_t i = 0; i < word_bytes; ++i) word |= std::to_integer<uint64_t>(from[i]) << (8 * i);
  }
  return word;
}

} // namespace

uint64_t checksum_of(std::span<const std::byte> bytes) {
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  std::array<uint64_t, lane_count> lanes = {0xcbf29ce484222325, 0x84222325cbf29ce4,
                                            0x2545f4914f6cdd1d, 0x4f6cdd1d2545f491};
  for (; left >= lane_count * word_bytes; left -= lane_count * word_bytes) {
    for (size_t lane = 0; lane < lane_count; ++lane)
      lanes[lane] = mix(lanes[lane], word_at(at + lane * word_bytes));
    at += lane_count * word_bytes;
  }
  uint64_t state = mix(bytes.size(), lanes[0]);
  for (size_t lane = 1; lane < lane_count; ++lane) state = mix(state, lanes[lane]);
  for (; left >= word_bytes; left -= word_bytes, at += word_bytes) state = mix(state, word_at(at));
  uint64_t rest = 0;
  for (size_t i = 0; i < left; ++i) rest |= std::to_integer<uint64_t>(at[i]) << (8 * i);
  state = mix(state, rest);
  return state ^ (state >> 32);
}

} // namespace troupe::schemas
