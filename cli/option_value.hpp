// The types a setting can have: how each is read from text and written back as TOML.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::cli {

// A number of bytes that people write with a unit: 512M, 1.5GiB, 2GB.
struct byte_size {
  uint64_t bytes = 0;
};

// ID=BIAS: what is added to the logit of one token.
struct token_bias {
  int32_t token = 0;
  float bias = 0;
};

// Bounds of a number, both inclusive; also how the range reads in messages.
struct value_range {
  double least = 0;
  double most = 0;
  bool bounded() const { return most > least; }
};

// Each reads the whole of `from` or says what is wrong with it ("is not a whole number"), without
// naming the setting: the caller knows where the text came from.
status parse_value(std::string_view from, bool& out);
status parse_value(std::string_view from, uint16_t& out);
status parse_value(std::string_view from, uint32_t& out);
status parse_value(std::string_view from, uint64_t& out);
status parse_value(std::string_view from, int32_t& out);
status parse_value(std::string_view from, float& out);
status parse_value(std::string_view from, double& out);
status parse_value(std::string_view from, byte_size& out);
status parse_value(std::string_view from, token_bias& out);
status parse_value(std::string_view from, std::string& out);

// As a TOML value; reading it back gives the same setting.
std::string show_value(bool value);
std::string show_value(uint64_t value);
std::string show_value(int32_t value);
std::string show_value(float value);
std::string show_value(double value);
std::string show_value(byte_size value);
std::string show_value(const token_bias& value);
std::string show_value(const std::string& value);
inline std::string show_value(uint16_t value) {
  return show_value(uint64_t{value});
}
inline std::string show_value(uint32_t value) {
  return show_value(uint64_t{value});
}

// What a range is checked against; nothing where ranges mean nothing.
template <class Value>
std::optional<double> magnitude(const Value& value) {
  if constexpr (std::is_arithmetic_v<Value> && !std::is_same_v<Value, bool>)
    return static_cast<double>(value);
  else if constexpr (std::is_same_v<Value, byte_size>)
    return static_cast<double>(value.bytes);
  else
    return std::nullopt;
}

// "it must be from 1 to 64", when it is not.
status check_range(double value, const value_range& range);
std::string range_text(const value_range& range);

// A TOML basic string with everything escaped that must be.
std::string quoted_text(std::string_view text);

// "1.5 MiB", for people.
std::string human_bytes(uint64_t bytes);

} // namespace troupe::cli
