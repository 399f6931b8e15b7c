// The escapes of RFC 8259.
#include "model/grammar/json_string.hpp"

#include <array>
#include <utility>

namespace troupe::model {
namespace {

std::string escaped(uint32_t point) {
  static constexpr std::array<std::pair<uint32_t, char>, 7> shorts = {
      {{'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}}};
  for (const auto& [of, letter] : shorts)
    if (of == point) return {'\\', letter};
  constexpr std::string_view digits = "0123456789abcdef";
  return std::string("\\u00") + digits[point >> 4 & 15] + digits[point & 15];
}

} // namespace

const code_points& json_plain_characters() {
  static const code_points plain =
      code_points{{0x20, code_point_max}}.without({{'"', '"'}, {'\\', '\\'}});
  return plain;
}

expression_book::expression json_character(expression_book& book, const code_points& points) {
  std::vector<expression_book::expression> parts;
  const code_points plain = points.within(json_plain_characters());
  if (!plain.empty()) parts.push_back(book.one_of(plain));
  std::vector<std::string> words;
  const code_points rest = points.without(json_plain_characters());
  for (const auto& [first, last] : rest.ranges())
    for (uint32_t point = first; point <= last; ++point) words.push_back(escaped(point));
  if (!words.empty()) parts.push_back(book.words(std::move(words)));
  return book.choice(std::move(parts));
}

std::string json_quoted(std::string_view utf8) {
  std::string out = "\"";
  for (const char c : utf8) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x20 || c == '"' || c == '\\')
      out += escaped(byte);
    else
      out += c;
  }
  return out + '"';
}

} // namespace troupe::model
