// The chain that stands for a whole run: 64 bits over everything that happened, in order. Equal on
// every machine: it sees numbers and text, never addresses.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace troupe::simulations {

class event_hash {
public:
  void mix(uint64_t word) {
    value_ = std::rotl(value_ ^ (word * 0x9E3779B97F4A7C15ull), 29) * 0xD6E8FEB86659FD93ull;
    value_ ^= value_ >> 32;
  }

  void mix(std::string_view bytes) {
    mix(uint64_t{bytes.size()});
    size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) mix(word(bytes.data() + i, 8));
    if (i < bytes.size()) mix(word(bytes.data() + i, bytes.size() - i));
  }

  void mix(std::span<const std::byte> bytes) {
    mix(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }

  uint64_t value() const { return value_; }

private:
  // Little endian, whatever the machine is.
  static uint64_t word(const char* bytes, size_t count) {
    uint64_t out = 0;
    for (size_t i = 0; i < count; ++i)
      out |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return out;
  }

  uint64_t value_ = 0xCBF29CE484222325ull;
};

// Of one piece of text alone.
inline uint64_t hash_of(std::string_view bytes) {
  event_hash hash;
  hash.mix(bytes);
  return hash.value();
}

} // namespace troupe::simulations
