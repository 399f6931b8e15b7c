// Strict readers: the whole text counts, and nothing is rounded or cut off silently.
#include "cli/option_value.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

namespace troupe::cli {
namespace {

status wrong(std::string why) {
  return status(status_code::invalid_argument, std::move(why));
}

template <class Integer>
status parse_integer(std::string_view from, Integer& out) {
  Integer value = 0;
  const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), value);
  if (error == std::errc::result_out_of_range)
    return wrong(text("it must be from ", std::numeric_limits<Integer>::min(), " to ",
                      std::numeric_limits<Integer>::max()));
  if (error != std::errc() || end != from.data() + from.size() || from.empty())
    return wrong("it must be a whole number");
  out = value;
  return {};
}

status parse_real(std::string_view from, double& out) {
  double value = 0;
  const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), value);
  if (error != std::errc() || end != from.data() + from.size() || from.empty() ||
      !std::isfinite(value))
    return wrong("it must be a number");
  out = value;
  return {};
}

// Bounds are mostly whole: 1000000, not 1e+06.
std::string bound_text(double bound) {
  return bound == std::floor(bound) && std::abs(bound) < 1e15 ? text(int64_t(bound)) : text(bound);
}

std::string lower(std::string_view from) {
  std::string out(from);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// Factor of a unit; 0 when it is none. K, M, G and T alone count by 1024, as KiB does.
double unit_factor(std::string_view unit) {
  if (unit.empty() || unit == "b") return 1;
  constexpr std::string_view letters = "kmgt";
  const size_t power = letters.find(unit[0]);
  if (power == std::string_view::npos) return 0;
  const std::string_view rest = unit.substr(1);
  if (rest.empty() || rest == "i" || rest == "ib") return std::pow(1024.0, double(power + 1));
  if (rest == "b") return std::pow(1000.0, double(power + 1));
  return 0;
}

} // namespace

status parse_value(std::string_view from, bool& out) {
  const std::string word = lower(from);
  const bool yes = word == "true" || word == "1" || word == "yes" || word == "on";
  const bool no = word == "false" || word == "0" || word == "no" || word == "off";
  if (!yes && !no) return wrong("it must be true or false");
  out = yes;
  return {};
}

status parse_value(std::string_view from, uint16_t& out) {
  return parse_integer(from, out);
}
status parse_value(std::string_view from, uint32_t& out) {
  return parse_integer(from, out);
}
status parse_value(std::string_view from, uint64_t& out) {
  return parse_integer(from, out);
}
status parse_value(std::string_view from, int32_t& out) {
  return parse_integer(from, out);
}
status parse_value(std::string_view from, double& out) {
  return parse_real(from, out);
}

status parse_value(std::string_view from, float& out) {
  double value = 0;
  TROUPE_RETURN_IF_ERROR(parse_real(from, value));
  if (std::abs(value) > double(std::numeric_limits<float>::max())) return wrong("it is too large");
  out = static_cast<float>(value);
  return {};
}

status parse_value(std::string_view from, byte_size& out) {
  const size_t unit_at = std::min(from.find_first_not_of("0123456789."), from.size());
  std::string_view unit = from.substr(unit_at);
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const double factor = unit_factor(lower(unit));
  double number = 0;
  if (factor == 0 || !parse_real(from.substr(0, unit_at), number).ok())
    return wrong("it must be a number of bytes such as 512M, 1.5GiB or 2GB");
  if (number * factor > 9e18) return wrong("it is too large");
  out.bytes = static_cast<uint64_t>(number * factor);
  return {};
}

status parse_value(std::string_view from, token_bias& out) {
  const size_t equals = from.find('=');
  if (equals == std::string_view::npos || !parse_value(from.substr(0, equals), out.token).ok() ||
      !parse_value(from.substr(equals + 1), out.bias).ok())
    return wrong("it must be a token id and a number, such as 42=-1.5");
  return {};
}

status parse_value(std::string_view from, std::string& out) {
  out = std::string(from);
  return {};
}

std::string show_value(bool value) {
  return value ? "true" : "false";
}
std::string show_value(uint64_t value) {
  // TOML's integers are signed; what does not fit is written as text, which is read just as well.
  return value > uint64_t(std::numeric_limits<int64_t>::max()) ? text('"', value, '"')
                                                               : text(value);
}
std::string show_value(int32_t value) {
  return text(value);
}
std::string show_value(float value) {
  std::array<char, 64> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc() ? std::string(digits.data(), end) : text(double(value));
}
std::string show_value(double value) {
  return text(value);
}

std::string show_value(byte_size value) {
  constexpr std::string_view letters = "KMGT";
  for (size_t power = letters.size(); power > 0; --power) {
    const uint64_t factor = uint64_t{1} << (10 * power);
    if (value.bytes >= factor && value.bytes % factor == 0)
      return text('"', value.bytes / factor, letters[power - 1], '"');
  }
  return text(value.bytes);
}

std::string show_value(const token_bias& value) {
  return text('"', value.token, '=', show_value(value.bias), '"');
}

std::string show_value(const std::string& value) {
  return quoted_text(value);
}

status check_range(double value, const value_range& range) {
  if (!range.bounded() || (value >= range.least && value <= range.most)) return {};
  return wrong(text("it must be from ", range_text(range)));
}

std::string range_text(const value_range& range) {
  return range.bounded() ? text(bound_text(range.least), " to ", bound_text(range.most)) : "";
}

std::string quoted_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          std::array<char, 8> escape;
          std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
          out += escape.data();
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

std::string human_bytes(uint64_t bytes) {
  constexpr std::array<const char*, 5> units = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> out;
  std::snprintf(out.data(), out.size(), unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value,
                units[unit]);
  return out.data();
}

} // namespace troupe::cli
