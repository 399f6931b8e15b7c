// Rewrites a pattern in Oniguruma's Ruby syntax into one that means the same to PCRE2.
#include "base/text.hpp"
#include "model/tokenizer_regex.hpp"
#include "model/tokenizer_unicode.hpp"

#include <algorithm>
#include <cctype>

namespace troupe::model {
namespace {

struct code_point_range {
  char32_t first;
  char32_t last;
};

// Oniguruma's \s: White_Space. PCRE2 adds the Mongolian vowel separator.
constexpr code_point_range space_ranges[] = {
    {0x9, 0xD},       {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};

// What Oniguruma counts as \w beyond letters, marks, decimal digits, letter numbers and connectors.
constexpr code_point_range odd_word_ranges[] = {
    {0xB2, 0xB3},       {0xB9, 0xB9},       {0xBC, 0xBE},      {0x24B6, 0x24E9},
    {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};

// Characters that scripts gained after Unicode 14.
struct script_range {
  const char* script;
  code_point_range range;
};
constexpr script_range script_ranges[] = {{"Han", {0x2B739, 0x2B739}},
                                          {"Han", {0x2EBF0, 0x2EE5D}},
                                          {"Han", {0x31350, 0x323AF}},
                                          {"Hiragana", {0x1B132, 0x1B132}},
                                          {"Katakana", {0x1B155, 0x1B155}}};

std::string hex(char32_t point) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  do {
    out.insert(out.begin(), digits[point & 15]);
    point >>= 4;
  } while (point != 0);
  return out;
}

std::string range_text(code_point_range range) {
  std::string out = text("\\x{", hex(range.first), "}");
  if (range.last != range.first) out += text("-\\x{", hex(range.last), "}");
  return out;
}

template <class Ranges>
std::string ranges_text(const Ranges& ranges) {
  std::string out;
  for (const auto& range : ranges) out += range_text(range);
  return out;
}

// All that is not in the ascending ranges; surrogates do not occur in UTF-8.
std::string complement_text(std::span<const code_point_range> ranges) {
  std::string out;
  char32_t next = 0;
  for (const auto& range : ranges) {
    if (range.first > next) out += range_text({next, range.first - 1});
    next = range.last + 1;
  }
  return out + range_text({next, 0x10FFFF});
}

// The ranges that categories whose name starts with `category` gained, joined where they touch.
std::vector<code_point_range> added_ranges(std::string_view category) {
  std::vector<code_point_range> out;
  for (const auto& range : categories_since_unicode_14()) {
    if (!std::string_view(range.category).starts_with(category)) continue;
    if (!out.empty() && out.back().last + 1 == range.first) {
      out.back().last = range.last;
    } else {
      out.push_back({range.first, range.last});
    }
  }
  return out;
}

std::string word_items() {
  std::string out = "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}";
  for (const char* category : {"L", "M", "Nd", "Nl", "Pc"})
    out += ranges_text(added_ranges(category));
  return out + ranges_text(odd_word_ranges);
}

// One pass over a pattern. Keeps where the last repeatable item starts, to wrap it when Ruby
// repeats a repetition where PCRE2 would see a possessive or lazy one.
class translator {
public:
  explicit translator(std::string_view pattern) : pattern_(pattern) {}

  result<std::string> run() {
    while (at_ < pattern_.size()) {
      if (status failed = next_item(); !failed.ok()) return fail(std::move(failed));
    }
    return std::move(out_);
  }

private:
  status fails(std::string_view why, size_t at) const {
    return {status_code::unsupported, text("pattern '", pattern_, "', position ", at, ": ", why)};
  }

  char look(size_t ahead = 0) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }

  status next_item() {
    switch (look()) {
      case '\\':
        return escape(false);
      case '[':
        return character_class();
      case '(':
        return open_group();
      case ')':
        return close_group();
      case '{':
        return interval();
      case '*':
      case '+':
      case '?':
        return repeat();
      default:
        copy_character();
        return {};
    }
  }

  void copy_character() {
    item_start_ = out_.size();
    const size_t begin = at_;
    if (static_cast<uint8_t>(look()) < 0x80) {
      ++at_;
    } else {
      next_code_point(pattern_, at_);
    }
    out_ += pattern_.substr(begin, at_ - begin);
  }

  // `*`, `+`, `?` with an optional lazy or possessive mark: the same in both.
  status repeat() {
    out_ += pattern_[at_++];
    if (look() == '?' || look() == '+') out_ += pattern_[at_++];
    return {};
  }

  status open_group() {
    group_starts_.push_back(out_.size());
    out_ += '(';
    ++at_;
    if (look() != '?') return {};
    const std::string_view rest = pattern_.substr(at_);
    for (const std::string_view head : {"?:", "?=", "?!", "?>", "?<=", "?<!"}) {
      if (rest.starts_with(head)) {
        out_ += head;
        at_ += head.size();
        return {};
      }
    }
    return flags();
  }

  // `(?i)`, `(?i:`, `(?m-x:`: Ruby's m lets the dot match a line end, which is PCRE2's s.
  status flags() {
    out_ += pattern_[at_++];
    for (; at_ < pattern_.size(); ++at_) {
      const char c = look();
      if (c == ':' || c == ')') break;
      if (c != 'i' && c != 'm' && c != 'x' && c != '-') {
        return fails("this kind of group is not supported", at_);
      }
      out_ += c == 'm' ? 's' : c;
    }
    if (look() == ':') out_ += pattern_[at_++];
    return {}; // a ')' is left to close_group
  }

  status close_group() {
    if (group_starts_.empty()) return fails("unmatched ')'", at_);
    out_ += pattern_[at_++];
    item_start_ = group_starts_.back();
    group_starts_.pop_back();
    return {};
  }

  status interval() {
    const size_t close = pattern_.find('}', at_);
    const std::string_view body =
        close == std::string_view::npos ? "" : pattern_.substr(at_ + 1, close - at_ - 1);
    const bool is_interval = !body.empty() && body != "," &&
                             std::count(body.begin(), body.end(), ',') <= 1 &&
                             body.find_first_not_of("0123456789,") == std::string_view::npos;
    if (!is_interval) {
      item_start_ = out_.size();
      out_ += "\\{";
      ++at_;
      return {};
    }
    out_ += body.front() == ',' ? text("{0", body, "}") : text("{", body, "}");
    at_ = close + 1;
    const bool is_fixed = body.find(',') == std::string_view::npos;
    if (look() == '+' || (look() == '?' && is_fixed)) {
      out_.insert(item_start_, "(?:");
      out_ += ')';
    } else if (look() == '?') {
      out_ += pattern_[at_++];
    }
    return {};
  }

  // A nested class would be a union and `&&` an intersection in Ruby; PCRE2 would read both as
  // literals.
  status character_class() {
    const size_t begin = at_++;
    item_start_ = out_.size();
    out_ += '[';
    if (look() == '^') out_ += pattern_[at_++];
    if (look() == ']') { // a literal when it comes first
      out_ += "\\]";
      ++at_;
    }
    while (look() != ']') {
      if (at_ >= pattern_.size()) return fails("the character class is not closed", begin);
      if (look() == '[') return fails("a class inside a class is not supported", at_);
      if (look() == '&' && look(1) == '&') return fails("'&&' in a class is not supported", at_);
      if (look() == '\\') {
        if (status failed = escape(true); !failed.ok()) return failed;
      } else {
        const size_t start = at_;
        next_code_point(pattern_, at_);
        out_ += pattern_.substr(start, at_ - start);
      }
    }
    out_ += pattern_[at_++];
    return {};
  }

  // Writes a set that holds `items`, or everything else when negated; `others` is its complement
  // where the complement can be written as items of a class.
  status put_set(bool in_class, bool negated, const std::string& items, const std::string& others) {
    if (!in_class) {
      out_ += text(negated ? "[^" : "[", items, "]");
    } else if (!negated) {
      out_ += items;
    } else if (others.empty()) {
      return fails("this negated set inside a class is not supported", at_);
    } else {
      out_ += others;
    }
    return {};
  }

  status escape(bool in_class) {
    const size_t begin = at_;
    if (begin + 1 >= pattern_.size()) return fails("a single '\\' at the end", begin);
    if (!in_class) item_start_ = out_.size();
    const char letter = pattern_[begin + 1];
    at_ += 2;
    static constexpr code_point_range hex_ranges[] = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
    switch (letter) {
      case 's':
      case 'S':
        return put_set(in_class, letter == 'S', ranges_text(space_ranges),
                       complement_text(space_ranges));
      case 'h':
      case 'H':
        return put_set(in_class, letter == 'H', ranges_text(hex_ranges),
                       complement_text(hex_ranges));
      case 'd':
      case 'D':
        return put_set(in_class, letter == 'D', text("\\p{Nd}", ranges_text(added_ranges("Nd"))),
                       "");
      case 'w':
      case 'W':
        return put_set(in_class, letter == 'W', word_items(), "");
      case 'p':
      case 'P':
        return property(in_class, letter == 'P', begin);
      case 'b':
      case 'B':
        return in_class ? put("\\x08") : word_boundary(letter == 'B');
      case 'v':
        return put("\\x0b");
      case 'u':
        return unicode_escape(begin);
      case 'A':
      case 'z':
      case 'Z':
        return in_class ? fails("unknown escape", begin) : put(pattern_.substr(begin, 2));
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'a':
      case 'e':
        return put(pattern_.substr(begin, 2));
      case 'x':
        return put("\\x"); // the digits follow as they are
      default:
        break;
    }
    if (std::isalnum(static_cast<unsigned char>(letter)) != 0) {
      return fails(text("'\\", letter, "' is not supported"), begin);
    }
    at_ = begin + 1; // an escaped character stands for itself, of whatever length it is
    const size_t start = at_;
    next_code_point(pattern_, at_);
    return put(
        text(static_cast<uint8_t>(letter) < 0x80 ? "\\" : "", pattern_.substr(start, at_ - start)));
  }

  status put(std::string_view what) {
    out_ += what;
    return {};
  }

  status word_boundary(bool negated) {
    const std::string word = text("[", word_items(), "]");
    if (negated)
      return put(text("(?:(?<=", word, ")(?=", word, ")|(?<!", word, ")(?!", word, "))"));
    return put(text("(?:(?<=", word, ")(?!", word, ")|(?<!", word, ")(?=", word, "))"));
  }

  status unicode_escape(size_t begin) {
    const std::string_view digits = pattern_.substr(at_, 4);
    if (digits.size() != 4 ||
        digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
      return fails("'\\u' needs four hexadecimal digits", begin);
    }
    at_ += 4;
    return put(text("\\x{", digits, "}"));
  }

  // \p{L}, \p{^L}, \P{L}, \pL is Ruby-unknown. The class holds PCRE2's members and the newer ones.
  status property(bool in_class, bool negated, size_t begin) {
    const size_t close = pattern_.find('}', at_);
    if (look() != '{' || close == std::string_view::npos)
      return fails("'\\p' needs a name in braces", begin);
    std::string name(pattern_.substr(at_ + 1, close - at_ - 1));
    at_ = close + 1;
    if (name.starts_with('^')) {
      negated = !negated;
      name.erase(0, 1);
    }
    std::string items = text("\\p{", name, "}");
    std::vector<code_point_range> added;
    if (name.size() <= 2) added = added_ranges(name);
    for (const auto& [script, range] : script_ranges) {
      if (name == script) added.push_back(range);
    }
    items += ranges_text(added);
    return put_set(in_class, negated, items, added.empty() ? text("\\P{", name, "}") : "");
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string out_;
  size_t item_start_ = 0;
  std::vector<size_t> group_starts_;
};

} // namespace

result<std::string> translate_oniguruma(std::string_view pattern) {
  if (!is_valid_utf8(pattern)) return fail(status_code::corrupt, "a pattern is not valid UTF-8");
  return translator(pattern).run();
}

} // namespace troupe::model
