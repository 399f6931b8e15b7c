// Cuts the text of a chat template into tokens, with Jinja's rules for white space around tags.
#include "model/jinja_lexer.hpp"

#include "base/text.hpp"
#include "model/jinja_python.hpp"
#include "model/tokenizer_unicode.hpp"

#include <algorithm>

namespace troupe::model {
namespace {

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<uint8_t>(c) >= 0x80;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string unify_line_ends(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  return out;
}

class lexer {
public:
  lexer(std::string source, std::string_view file_name)
      : source_(std::move(source)), file_name_(file_name) {}

  result<std::vector<jinja_token>> run() {
    while (at_ < source_.size()) {
      if (status failed = next_part(); !failed.ok()) return fail(std::move(failed));
    }
    add(jinja_token_kind::end, "", at_);
    return std::move(tokens_);
  }

private:
  jinja_position position(size_t at) {
    if (at < line_start_) {
      counted_ = line_start_ = 0;
      line_ = 1;
    }
    for (; counted_ < at; ++counted_) {
      if (source_[counted_] == '\n') {
        ++line_;
        line_start_ = counted_ + 1;
      }
    }
    return {line_, static_cast<uint32_t>(at - line_start_ + 1)};
  }

  status fails(std::string_view why, size_t at) {
    return jinja_failure(file_name_, position(at), why);
  }

  void add(jinja_token_kind kind, std::string_view what, size_t at) {
    tokens_.push_back({kind, std::string(what), position(at)});
  }

  std::string_view rest() const { return std::string_view(source_).substr(at_); }

  // The data up to the next tag, and the tag.
  status next_part() {
    const size_t begin = at_;
    size_t tag = begin;
    while (tag < source_.size()) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos) tag = source_.size();
      const char next = tag + 1 < source_.size() ? source_[tag + 1] : '\0';
      if (next == '%' || next == '{' || next == '#') break;
      if (tag < source_.size()) ++tag;
    }
    if (tag >= source_.size()) {
      add(jinja_token_kind::data, rest(), begin);
      at_ = source_.size();
      return {};
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const bool has_sign = sign == '-' || sign == '+';
    const std::string_view data = strip_before_tag(
        std::string_view(source_).substr(begin, tag - begin), begin, has_sign ? sign : '\0', kind);
    if (!data.empty()) add(jinja_token_kind::data, data, begin);
    at_ = tag + (has_sign ? 3 : 2);
    if (kind == '#') return comment(tag);
    if (kind == '%' && skip_raw_begin()) return raw(tag);
    add(kind == '%' ? jinja_token_kind::block_begin : jinja_token_kind::variable_begin, "", tag);
    return inside_tag(tag, kind == '%');
  }

  // `-` takes all white space before the tag; else lstrip_blocks takes blanks between a line's
  // start and a tag that is no variable.
  std::string_view strip_before_tag(std::string_view data, size_t begin, char sign,
                                    char kind) const {
    if (sign == '-') return python_strip(data, false, true);
    if (sign == '+' || kind == '{') return data;
    const size_t line = data.rfind('\n') + 1;
    const bool at_line_start = line > 0 || begin == 0 || source_[begin - 1] == '\n';
    if (at_line_start && python_strip(data.substr(line), true, false).empty())
      return data.substr(0, line);
    return data;
  }

  void skip_white_space() {
    const std::string_view before = rest();
    at_ += before.size() - python_strip(before, true, false).size();
  }

  // At the end of a comment, block or raw block: `-` takes all white space, else one line end goes.
  void after_close(char sign) {
    if (sign == '-') {
      skip_white_space();
    } else if (sign != '+' && at_ < source_.size() && source_[at_] == '\n') {
      ++at_;
    }
  }

  status comment(size_t tag) {
    const size_t close = source_.find("#}", at_);
    if (close == std::string::npos) return fails("the comment is not closed", tag);
    const char sign = close > at_ ? source_[close - 1] : '\0';
    at_ = close + 2;
    after_close(sign);
    return {};
  }

  // Moves behind `raw %}` when that is what follows.
  bool skip_raw_begin() {
    const size_t before = at_;
    skip_white_space();
    if (rest().starts_with("raw")) {
      at_ += 3;
      skip_white_space();
      if (rest().starts_with("-%}")) {
        at_ += 3;
        skip_white_space();
        return true;
      }
      if (rest().starts_with("%}")) {
        at_ += 2;
        return true;
      }
    }
    at_ = before;
    return false;
  }

  status raw(size_t tag) {
    const size_t begin = at_;
    for (size_t open = at_; (open = source_.find("{%", open)) != std::string::npos; open += 2) {
      at_ = open + 2;
      const char sign = at_ < source_.size() ? source_[at_] : '\0';
      const bool has_sign = sign == '-' || sign == '+';
      if (has_sign) ++at_;
      skip_white_space();
      if (!rest().starts_with("endraw")) continue;
      at_ += 6;
      skip_white_space();
      const char close_sign =
          !rest().empty() && (rest()[0] == '-' || rest()[0] == '+') ? rest()[0] : '\0';
      if (close_sign != '\0') ++at_;
      if (!rest().starts_with("%}")) continue;
      at_ += 2;
      const auto data = strip_before_tag(std::string_view(source_).substr(begin, open - begin),
                                         begin, has_sign ? sign : '\0', '%');
      if (!data.empty()) add(jinja_token_kind::data, data, begin);
      after_close(close_sign);
      return {};
    }
    return fails("the raw block is not closed", tag);
  }

  status inside_tag(size_t tag, bool is_block) {
    const std::string_view close = is_block ? "%}" : "}}";
    std::vector<char> brackets;
    while (true) {
      skip_white_space();
      if (at_ >= source_.size()) return fails("the tag is not closed", tag);
      if (brackets.empty()) {
        const char sign = rest()[0];
        const bool has_sign =
            (sign == '-' || (sign == '+' && is_block)) && rest().substr(1).starts_with(close);
        if (has_sign || rest().starts_with(close)) {
          add(is_block ? jinja_token_kind::block_end : jinja_token_kind::variable_end, "", at_);
          at_ += has_sign ? 3 : 2;
          if (is_block || sign == '-') after_close(has_sign ? sign : '\0');
          return {};
        }
      }
      if (status failed = next_token(brackets); !failed.ok()) return failed;
    }
  }

  status next_token(std::vector<char>& brackets) {
    const size_t begin = at_;
    const char c = source_[at_];
    if (is_name_start(c)) {
      while (at_ < source_.size() && (is_name_start(source_[at_]) || is_digit(source_[at_]))) ++at_;
      add(jinja_token_kind::name, source_.substr(begin, at_ - begin), begin);
      return {};
    }
    if (is_digit(c)) return number();
    if (c == '"' || c == '\'') return string_literal();
    static constexpr std::string_view signs[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                 "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                 "<",  ">",  "=",  ".",  ":",  "|",  ",", ";"};
    const auto sign = std::find_if(std::begin(signs), std::end(signs),
                                   [this](std::string_view s) { return rest().starts_with(s); });
    if (sign == std::end(signs)) return fails(text("unexpected character '", c, "'"), begin);
    if (c == '(' || c == '[' || c == '{') brackets.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty() || brackets.back() != c)
        return fails(text("unexpected '", c, "'"), begin);
      brackets.pop_back();
    }
    add(jinja_token_kind::sign, *sign, begin);
    at_ += sign->size();
    return {};
  }

  status number() {
    const size_t begin = at_;
    const auto digits = [this] {
      const size_t from = at_;
      while (at_ < source_.size() &&
             (is_digit(source_[at_]) || (source_[at_] == '_' && at_ > from)))
        ++at_;
      return at_ > from;
    };
    digits();
    bool is_floating = false;
    if (rest().size() > 1 && rest()[0] == '.' && is_digit(rest()[1])) {
      is_floating = true;
      ++at_;
      digits();
    }
    if (!rest().empty() && (rest()[0] == 'e' || rest()[0] == 'E')) {
      const size_t before = at_++;
      if (!rest().empty() && (rest()[0] == '+' || rest()[0] == '-')) ++at_;
      if (digits()) {
        is_floating = true;
      } else {
        at_ = before;
      }
    }
    std::string number_text = source_.substr(begin, at_ - begin);
    std::erase(number_text, '_');
    add(is_floating ? jinja_token_kind::floating : jinja_token_kind::integer, number_text, begin);
    return {};
  }

  status string_literal() {
    const size_t begin = at_;
    const char quote = source_[at_++];
    std::string value;
    while (true) {
      if (at_ >= source_.size()) return fails("the string is not closed", begin);
      const char c = source_[at_++];
      if (c == quote) break;
      if (c != '\\') {
        value += c;
      } else if (status failed = escape(value); !failed.ok()) {
        return failed;
      }
    }
    add(jinja_token_kind::string, value, begin);
    return {};
  }

  // Python's escapes; an unknown one stays as it is written.
  status escape(std::string& value) {
    if (at_ >= source_.size()) return fails("the string is not closed", at_);
    const size_t begin = at_ - 1;
    const char c = source_[at_++];
    static constexpr std::string_view letters = "\\'\"abfnrtv";
    static constexpr std::string_view meanings = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t known = letters.find(c); known != std::string_view::npos) {
      value += meanings[known];
      return {};
    }
    if (c == '\n') return {};
    if (c >= '0' && c <= '7') {
      char32_t point = static_cast<char32_t>(c - '0');
      for (int i = 0; i < 2 && at_ < source_.size() && source_[at_] >= '0' && source_[at_] <= '7';
           ++i) {
        point = point * 8 + static_cast<char32_t>(source_[at_++] - '0');
      }
      append_utf8(value, point);
      return {};
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {
      value += '\\';
      value += c;
      return {};
    }
    char32_t point = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      const char d = at_ < source_.size() ? source_[at_] : '\0';
      const char lower = static_cast<char>(d | 0x20);
      if (!is_digit(d) && (lower < 'a' || lower > 'f'))
        return fails("a broken escape in the string", begin);
      point = point * 16 + static_cast<char32_t>(is_digit(d) ? d - '0' : lower - 'a' + 10);
    }
    if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) {
      return fails("an escape that is no character", begin);
    }
    append_utf8(value, point);
    return {};
  }

  std::string source_;
  std::string_view file_name_;
  size_t at_ = 0;
  std::vector<jinja_token> tokens_;
  size_t counted_ = 0; // how far line_ and line_start_ are counted: most positions come in order
  uint32_t line_ = 1;
  size_t line_start_ = 0;
};

} // namespace

status jinja_failure(std::string_view file_name, jinja_position at, std::string_view why,
                     status_code code) {
  return {code, text(file_name, ": line ", at.line, ", column ", at.column, ": ", why)};
}

result<std::vector<jinja_token>> lex_jinja(std::string_view source, std::string_view file_name) {
  if (!is_valid_utf8(source))
    return fail(status_code::corrupt, text(file_name, ": not valid UTF-8"));
  std::string unified = unify_line_ends(source);
  if (unified.ends_with('\n')) unified.pop_back();
  return lexer(std::move(unified), file_name).run();
}

} // namespace troupe::model
