// Sets of Unicode characters, and of bytes.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

class byte_set {
public:
  static byte_set range(uint8_t first, uint8_t last) {
    byte_set out;
    for (unsigned byte = first; byte <= last; ++byte) out.add(static_cast<uint8_t>(byte));
    return out;
  }
  void add(uint8_t byte) { words_[byte >> 6] |= uint64_t{1} << (byte & 63); }
  bool has(uint8_t byte) const { return (words_[byte >> 6] >> (byte & 63) & 1) != 0; }
  bool empty() const { return (words_[0] | words_[1] | words_[2] | words_[3]) == 0; }
  void keep(const byte_set& other) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
  }
  friend bool operator==(const byte_set&, const byte_set&) = default;
  friend auto operator<=>(const byte_set&, const byte_set&) = default;

private:
  std::array<uint64_t, 4> words_{};
};

inline constexpr uint32_t code_point_max = 0x10FFFF;

// Characters: code points that are no surrogates, which UTF-8 cannot write.
class code_points {
public:
  struct range {
    uint32_t first = 0;
    uint32_t last = 0; // included
    friend bool operator==(const range&, const range&) = default;
  };

  code_points() = default;
  code_points(std::initializer_list<range> ranges) {
    for (const range& each : ranges) add(each.first, each.last);
  }
  static code_points all() { return {{0, code_point_max}}; }

  void add(uint32_t first, uint32_t last);
  void add(const code_points& other);
  code_points complement() const;
  code_points without(const code_points& other) const;
  code_points within(const code_points& other) const;

  bool has(uint32_t point) const;
  bool empty() const { return ranges_.empty(); }
  // Ascending, apart from each other.
  std::span<const range> ranges() const { return ranges_; }

private:
  std::vector<range> ranges_;
};

// The character at the front of `text` and its bytes; 0 bytes when that is no UTF-8.
struct decoded_point {
  uint32_t point = 0;
  uint32_t bytes = 0;
};
decoded_point first_point(std::string_view text);
// Appends the character in UTF-8.
void append_utf8(std::string& out, uint32_t point);

} // namespace troupe::model
