// Escapes that patterns and rules have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::model {

// Reads `count` hexadecimal digits at `at`; absent when they are not there.
inline std::optional<uint32_t> hex_digits(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return std::nullopt;
  uint32_t value = 0;
  for (size_t i = at; i < at + count; ++i) {
    const char c = text[i];
    const bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!letter && !(c >= '0' && c <= '9')) return std::nullopt;
    value = value * 16 + static_cast<uint32_t>(letter ? (c | 32) - 'a' + 10 : c - '0');
  }
  return value;
}

// The character that \n, \t, ... stand for.
inline std::optional<uint32_t> control_escape(char letter) {
  switch (letter) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    default:
      return std::nullopt;
  }
}

} // namespace troupe::model
