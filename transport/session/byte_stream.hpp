// Little-endian numbers and short strings in bytes: what the records of a session are written with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::transport {

class byte_writer {
public:
  void u8(uint8_t value) { bytes_.push_back(static_cast<std::byte>(value)); }
  void u16(uint16_t value) { number(value, 2); }
  void u32(uint32_t value) { number(value, 4); }
  void u64(uint64_t value) { number(value, 8); }
  void raw(std::span<const std::byte> value) {
    bytes_.insert(bytes_.end(), value.begin(), value.end());
  }
  // Two bytes of length in front. The caller has checked that it fits.
  void sized(std::span<const std::byte> value) {
    u16(static_cast<uint16_t>(value.size()));
    raw(value);
  }
  void sized(std::string_view value) { sized(std::as_bytes(std::span(value))); }

  const std::vector<std::byte>& bytes() const { return bytes_; }
  std::vector<std::byte> take() { return std::move(bytes_); }

private:
  void number(uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) u8(static_cast<uint8_t>(value >> (8 * i)));
  }

  std::vector<std::byte> bytes_;
};

// Reading beyond the end yields zeros and nothing, and good() says so at the end.
class byte_reader {
public:
  explicit byte_reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  uint8_t u8() { return static_cast<uint8_t>(number(1)); }
  uint16_t u16() { return static_cast<uint16_t>(number(2)); }
  uint32_t u32() { return static_cast<uint32_t>(number(4)); }
  uint64_t u64() { return number(8); }
  std::span<const std::byte> raw(size_t bytes) {
    if (bytes > rest_.size()) {
      good_ = false;
      rest_ = {};
      return {};
    }
    const auto out = rest_.first(bytes);
    rest_ = rest_.subspan(bytes);
    return out;
  }
  std::span<const std::byte> sized() { return raw(u16()); }
  std::string sized_text() {
    const auto bytes = sized();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  bool good() const { return good_; }
  bool at_end() const { return good_ && rest_.empty(); }
  std::span<const std::byte> rest() const { return rest_; }

private:
  uint64_t number(size_t bytes) {
    uint64_t out = 0;
    const auto from = raw(bytes);
    for (size_t i = 0; i < from.size(); ++i) out |= std::to_integer<uint64_t>(from[i]) << (8 * i);
    return out;
  }

  std::span<const std::byte> rest_;
  bool good_ = true;
};

} // namespace troupe::transport
