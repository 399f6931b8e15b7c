// How Python writes, orders and cuts values; what a template shows is defined by that.
#pragma once

#include "model/chat_template_value.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

// Text that stops growing at a bound instead of filling the memory.
class bounded_text {
public:
  explicit bounded_text(size_t bytes_max) : bytes_max_(bytes_max) {}
  void append(std::string_view part) {
    if (part.size() > bytes_max_ - text_.size()) overflowed_ = true;
    if (!overflowed_) text_ += part;
  }
  bool overflowed() const { return overflowed_; }
  const std::string& text() const { return text_; }
  std::string take() { return std::move(text_); }

private:
  size_t bytes_max_;
  std::string text_;
  bool overflowed_ = false;
};

// str.isspace
bool is_python_space(char32_t point);
std::string_view python_strip(std::string_view text, bool left, bool right);
// Takes off the letters that are in `letters`.
std::string_view python_strip(std::string_view text, std::string_view letters, bool left,
                              bool right);

size_t count_code_points(std::string_view text);
// Each code point as a text of its own.
std::vector<std::string_view> split_code_points(std::string_view text);

std::string python_upper(std::string_view text);
std::string python_lower(std::string_view text);
std::string python_capitalize(std::string_view text);
std::string python_title(std::string_view text);

// str() and repr().
void append_str(bounded_text& out, const template_value& value);
void append_repr(bounded_text& out, const template_value& value);
std::string python_float_text(double value);

struct json_style {
  std::optional<std::string> indent{}; // one level of it; without: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sorts_keys = false;
  bool ascii_only = false;
};
// json.dumps; false when a value cannot be written as JSON.
bool append_json(bounded_text& out, const template_value& value, const json_style& style,
                 size_t level = 0);

bool is_true(const template_value& value);
// "str", "list", … for messages.
std::string_view python_type(const template_value& value);
// Negative, 0 or positive as a is less, equal or more; nothing where Python refuses to compare.
std::optional<int> python_compare(const template_value& a, const template_value& b);

} // namespace troupe::model
