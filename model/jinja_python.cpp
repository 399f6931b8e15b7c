// How Python writes, orders and cuts values.
#include "model/jinja_python.hpp"

#include "model/tokenizer_unicode.hpp"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace troupe::model {
namespace {

void append_hex_escape(bounded_text& out, std::string_view prefix, uint32_t value, int digits) {
  constexpr char letters[] = "0123456789abcdef";
  std::string escape(prefix);
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
    escape += letters[(value >> shift) & 15];
  out.append(escape);
}

// str.isprintable for one letter.
bool is_printable(char32_t point) {
  if (point == ' ') return true;
  const uint32_t mask = U_MASK(u_charType(static_cast<UChar32>(point)));
  return (mask & (U_GC_C_MASK | U_GC_Z_MASK)) == 0;
}

void append_string_repr(bounded_text& out, std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  const std::string_view quote_text(&quote, 1);
  out.append(quote_text);
  for (size_t at = 0; at < text.size() && !out.overflowed();) {
    const size_t begin = at;
    const char32_t point = next_code_point(text, at);
    if (point == static_cast<char32_t>(quote) || point == '\\') {
      out.append("\\");
      out.append(text.substr(begin, 1));
    } else if (point == '\n') {
      out.append("\\n");
    } else if (point == '\r') {
      out.append("\\r");
    } else if (point == '\t') {
      out.append("\\t");
    } else if (is_printable(point)) {
      out.append(text.substr(begin, at - begin));
    } else if (point < 0x100) {
      append_hex_escape(out, "\\x", point, 2);
    } else if (point < 0x10000) {
      append_hex_escape(out, "\\u", point, 4);
    } else {
      append_hex_escape(out, "\\U", point, 8);
    }
  }
  out.append(quote_text);
}

void append_json_string(bounded_text& out, std::string_view text, bool ascii_only) {
  out.append("\"");
  for (size_t at = 0; at < text.size() && !out.overflowed();) {
    const size_t begin = at;
    const char32_t point = next_code_point(text, at);
    switch (point) {
      case '"':
        out.append("\\\"");
        break;
      case '\\':
        out.append("\\\\");
        break;
      case '\n':
        out.append("\\n");
        break;
      case '\r':
        out.append("\\r");
        break;
      case '\t':
        out.append("\\t");
        break;
      case '\b':
        out.append("\\b");
        break;
      case '\f':
        out.append("\\f");
        break;
      default:
        if (point < 0x20 || (ascii_only && point >= 0x7F && point < 0x10000 && point != 0x7F)) {
          append_hex_escape(out, "\\u", point, 4);
        } else if (ascii_only && point >= 0x10000) {
          append_hex_escape(out, "\\u", 0xD800 + ((point - 0x10000) >> 10), 4);
          append_hex_escape(out, "\\u", 0xDC00 + ((point - 0x10000) & 0x3FF), 4);
        } else {
          out.append(text.substr(begin, at - begin));
        }
    }
  }
  out.append("\"");
}

std::string from_icu(const icu::UnicodeString& text) {
  std::string out;
  text.toUTF8String(out);
  return out;
}

icu::UnicodeString to_icu(std::string_view text) {
  return icu::UnicodeString::fromUTF8(
      icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
}

bool is_cased(char32_t point) {
  return u_hasBinaryProperty(static_cast<UChar32>(point), UCHAR_CASED) != 0;
}

std::string title_letter(std::string_view letter) {
  size_t at = 0;
  const auto point = static_cast<UChar32>(next_code_point(letter, at));
  const UChar32 simple = u_totitle(point);
  if (simple != point || u_islower(point) == 0) {
    std::string out;
    append_utf8(out, static_cast<char32_t>(simple));
    return out;
  }
  icu::UnicodeString text = to_icu(letter); // may become several letters
  return from_icu(text.toTitle(nullptr, icu::Locale::getRoot()));
}

int order_of(double a, double b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

} // namespace

bool is_python_space(char32_t point) {
  return is_white_space(point) || (point >= 0x1C && point <= 0x1F);
}

namespace {

// Cuts letters that go off the ends; looks at no others.
template <class Goes>
std::string_view strip_ends(std::string_view text, bool left, bool right, Goes goes) {
  while (left && !text.empty()) {
    size_t end = 0;
    next_code_point(text, end);
    if (!goes(text.substr(0, end))) break;
    text.remove_prefix(end);
  }
  while (right && !text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
    if (!goes(text.substr(begin))) break;
    text = text.substr(0, begin);
  }
  return text;
}

} // namespace

std::string_view python_strip(std::string_view text, bool left, bool right) {
  return strip_ends(text, left, right, [](std::string_view letter) {
    size_t at = 0;
    return is_python_space(next_code_point(letter, at));
  });
}

std::string_view python_strip(std::string_view text, std::string_view letters, bool left,
                              bool right) {
  const auto all = split_code_points(letters);
  return strip_ends(text, left, right, [&all](std::string_view letter) {
    return std::find(all.begin(), all.end(), letter) != all.end();
  });
}

size_t count_code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<uint8_t>(byte) & 0xC0) != 0x80;
  }));
}

std::vector<std::string_view> split_code_points(std::string_view text) {
  std::vector<std::string_view> out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    next_code_point(text, at);
    out.push_back(text.substr(begin, at - begin));
  }
  return out;
}

std::string python_upper(std::string_view text) {
  return from_icu(to_icu(text).toUpper(icu::Locale::getRoot()));
}

std::string python_lower(std::string_view text) {
  return from_icu(to_icu(text).toLower(icu::Locale::getRoot()));
}

std::string python_capitalize(std::string_view text) {
  if (text.empty()) return {};
  size_t first = 0;
  next_code_point(text, first);
  return title_letter(text.substr(0, first)) + python_lower(text.substr(first));
}

std::string python_title(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (const std::string_view letter : split_code_points(text)) {
    size_t at = 0;
    const char32_t point = next_code_point(letter, at);
    if (!is_cased(point)) {
      out += letter;
      in_word = false;
      continue;
    }
    out += in_word ? python_lower(letter) : title_letter(letter);
    in_word = true;
  }
  return out;
}

// The shortest digits that read back the same, with an exponent below 1e-4 and from 1e16 on.
std::string python_float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto written =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view scientific(buffer, static_cast<size_t>(written.ptr - buffer));
  const size_t e = scientific.find('e');
  int exponent = 0;
  const std::string_view exponent_text = scientific.substr(e + (scientific[e + 1] == '+' ? 2 : 1));
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    std::string out(scientific.substr(0, e));
    out += exponent < 0 ? "e-" : "e+";
    const std::string digits = std::to_string(std::abs(exponent));
    return out + (digits.size() < 2 ? "0" : "") + digits;
  }
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string out(buffer, static_cast<size_t>(fixed.ptr - buffer));
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

void append_str(bounded_text& out, const template_value& value) {
  if (value.is_string()) {
    out.append(value.string());
  } else if (!value.is_undefined()) {
    append_repr(out, value);
  }
}

void append_repr(bounded_text& out, const template_value& value) {
  if (out.overflowed()) return;
  if (value.is_undefined()) return out.append("Undefined");
  if (value.is_none()) return out.append("None");
  if (value.is_bool()) return out.append(value.boolean() ? "True" : "False");
  if (value.is_int()) return out.append(std::to_string(value.integer()));
  if (value.is_float()) return out.append(python_float_text(value.number()));
  if (value.is_string()) return append_string_repr(out, value.string());
  if (value.is_list()) {
    out.append(value.is_tuple() ? "(" : "[");
    bool is_first = true;
    for (const auto& element : value.elements()) {
      if (!is_first) out.append(", ");
      is_first = false;
      append_repr(out, element);
      if (out.overflowed()) return;
    }
    if (value.is_tuple() && value.elements().size() == 1) out.append(",");
    return out.append(value.is_tuple() ? ")" : "]");
  }
  if (value.is_dict()) {
    out.append("{");
    bool is_first = true;
    for (const auto& [key, member] : value.members()) {
      if (!is_first) out.append(", ");
      is_first = false;
      append_repr(out, key);
      out.append(": ");
      append_repr(out, member);
      if (out.overflowed()) return;
    }
    return out.append("}");
  }
  out.append(value.is_callable() ? "<function>"
             : value.is_loop()   ? "<LoopContext>"
                                 : "<Namespace>");
}

namespace {

void append_json_line(bounded_text& out, const json_style& style, size_t level) {
  if (!style.indent) return;
  out.append("\n");
  for (size_t i = 0; i < level && !out.overflowed(); ++i) out.append(*style.indent);
}

bool append_json_key(bounded_text& out, const template_value& key, const json_style& style) {
  if (key.is_string()) {
    append_json_string(out, key.string(), style.ascii_only);
    return true;
  }
  if (!key.is_number() && !key.is_none()) return false;
  out.append("\"");
  const bool written = append_json(out, key, style);
  out.append("\"");
  return written;
}

bool append_json_dict(bounded_text& out, const template_value& value, const json_style& style,
                      size_t level) {
  std::vector<const template_value::entries::value_type*> members;
  for (const auto& member : value.members()) members.push_back(&member);
  if (style.sorts_keys) {
    std::stable_sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
      return python_compare(a->first, b->first).value_or(0) < 0;
    });
  }
  out.append("{");
  for (size_t i = 0; i < members.size() && !out.overflowed(); ++i) {
    if (i > 0) out.append(style.item_separator);
    append_json_line(out, style, level + 1);
    if (!append_json_key(out, members[i]->first, style)) return false;
    out.append(style.key_separator);
    if (!append_json(out, members[i]->second, style, level + 1)) return false;
  }
  if (!members.empty()) append_json_line(out, style, level);
  out.append("}");
  return true;
}

} // namespace

bool append_json(bounded_text& out, const template_value& value, const json_style& style,
                 size_t level) {
  if (out.overflowed()) return true;
  if (value.is_none()) {
    out.append("null");
  } else if (value.is_bool()) {
    out.append(value.boolean() ? "true" : "false");
  } else if (value.is_int()) {
    out.append(std::to_string(value.integer()));
  } else if (value.is_float()) {
    const double number = value.number();
    out.append(std::isnan(number)   ? "NaN"
               : std::isinf(number) ? (number < 0 ? "-Infinity" : "Infinity")
                                    : python_float_text(number));
  } else if (value.is_string()) {
    append_json_string(out, value.string(), style.ascii_only);
  } else if (value.is_list()) {
    out.append("[");
    bool is_first = true;
    for (const auto& element : value.elements()) {
      if (!is_first) out.append(style.item_separator);
      is_first = false;
      append_json_line(out, style, level + 1);
      if (!append_json(out, element, style, level + 1)) return false;
      if (out.overflowed()) return true;
    }
    if (!is_first) append_json_line(out, style, level);
    out.append("]");
  } else if (value.is_dict()) {
    return append_json_dict(out, value, style, level);
  } else {
    return false;
  }
  return true;
}

bool is_true(const template_value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_number()) return value.number() != 0;
  if (value.is_string()) return !value.string().empty();
  if (value.is_list()) return !value.elements().empty();
  if (value.is_dict()) return !value.members().empty();
  return true;
}

std::string_view python_type(const template_value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.is_bool()) return "bool";
  if (value.is_int()) return "int";
  if (value.is_float()) return "float";
  if (value.is_string()) return "str";
  if (value.is_tuple()) return "tuple";
  if (value.is_list()) return "list";
  if (value.is_dict()) return "dict";
  return value.is_callable() ? "function" : value.is_loop() ? "LoopContext" : "Namespace";
}

std::optional<int> python_compare(const template_value& a, const template_value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return order_of(a.number(), b.number());
    return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
  }
  if (a.is_string() && b.is_string()) {
    const int order = a.string().compare(b.string()); // UTF-8 keeps the order of code points
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  if (a.is_list() && b.is_list() && a.depth() <= 2 && b.depth() <= 2) {
    const auto& left = a.elements();
    const auto& right = b.elements();
    for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
      const auto order = python_compare(left[i], right[i]);
      if (!order || *order != 0) return order;
    }
    return order_of(static_cast<double>(left.size()), static_cast<double>(right.size()));
  }
  return std::nullopt;
}

} // namespace troupe::model
