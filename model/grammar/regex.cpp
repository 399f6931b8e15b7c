// Recursive descent over the pattern.
#include "model/grammar/regex.hpp"

#include "base/text.hpp"
#include "model/grammar/character_escape.hpp"
#include "model/grammar/json_string.hpp"

#include <optional>
#include <utility>
#include <vector>

namespace troupe::model {
namespace {

using expression = expression_book::expression;

constexpr uint32_t groups_max = 200; // within each other
constexpr uint32_t count_max = 100'000;

const code_points digits{{'0', '9'}};
const code_points word{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const code_points space{{'\t', '\r'}, {' ', ' '}};
// What a dot does not stand for, in any of the common dialects.
const code_points line_ends{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class regex_parser {
public:
  regex_parser(expression_book& book, std::string_view pattern, const regex_options& options)
      : book_(book), pattern_(pattern), options_(options) {}

  result<expression> run() {
    std::vector<expression> parts;
    do {
      parts.push_back(whole_alternative());
    } while (why_.ok() && take('|'));
    if (why_.ok() && at_ < pattern_.size()) refuse(at_, "there is no group that this ')' ends");
    if (!why_.ok()) return fail(why_);
    return book_.choice(std::move(parts));
  }

private:
  // -- the text

  bool more() const { return why_.ok() && at_ < pattern_.size(); }
  bool next_is(char c) const { return more() && pattern_[at_] == c; }
  bool next_is(std::string_view what) const {
    return why_.ok() && pattern_.substr(at_).starts_with(what);
  }
  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view what) {
    if (!next_is(what)) return false;
    at_ += what.size();
    return true;
  }
  void refuse(size_t at, std::string_view why) {
    if (why_.ok())
      why_ = status(status_code::invalid_argument, text("position ", at + 1, ": ", why));
  }

  // -- structure

  expression character(const code_points& points) {
    return options_.json_string ? json_character(book_, points) : book_.one_of(points);
  }
  expression anything() { return book_.repeat(character(code_points::all()), 0, std::nullopt); }

  expression whole_alternative() {
    const bool begins = take('^');
    const expression body = alternative(0);
    const bool ends = take('$');
    if (ends && more() && !next_is('|')) refuse(at_ - 1, "'$' is supported at the end alone");
    if (options_.anchored) return body;
    std::vector<expression> parts;
    if (!begins) parts.push_back(anything());
    parts.push_back(body);
    if (!ends) parts.push_back(anything());
    return book_.sequence(std::move(parts));
  }

  expression alternative(uint32_t depth) {
    std::vector<expression> parts;
    while (more() && !next_is('|') && !next_is(')') && !next_is('$'))
      parts.push_back(quantified(depth));
    return book_.sequence(std::move(parts));
  }

  expression group(size_t begin, uint32_t depth) {
    if (depth >= groups_max) refuse(begin, text("more than ", groups_max, " groups in each other"));
    if (take("?")) open_special_group(begin);
    std::vector<expression> parts;
    do {
      parts.push_back(alternative(depth + 1));
      if (next_is('$')) refuse(at_, "'$' is supported at the end of the pattern alone");
    } while (take('|'));
    if (why_.ok() && !take(')')) refuse(begin, "the group is not ended");
    return book_.choice(std::move(parts));
  }

  void open_special_group(size_t begin) {
    if (take(':')) return;
    if (next_is("=") || next_is("!") || next_is("<=") || next_is("<!"))
      return refuse(begin, "look-around is not supported");
    if (take("P<") || take("<")) {
      const size_t end = pattern_.find('>', at_);
      if (end == std::string_view::npos || end == at_)
        return refuse(begin, "the group's name is not ended");
      at_ = end + 1;
      return;
    }
    refuse(begin, next_is(">") ? "atomic groups are not supported"
                               : "flags and other special groups are not supported");
  }

  expression quantified(uint32_t depth) {
    const expression part = atom(depth);
    const size_t begin = at_;
    uint32_t least = 0;
    std::optional<uint32_t> most;
    if (!quantifier(least, most)) return part;
    if (next_is('+')) refuse(at_, "possessive quantifiers are not supported");
    take('?');
    const size_t again = at_;
    uint32_t other_least = 0;
    std::optional<uint32_t> other_most;
    if (quantifier(other_least, other_most))
      refuse(again, "there is nothing to repeat: a quantifier follows a quantifier");
    if (most && *most < least) refuse(begin, "the bounds of the repetition are reversed");
    return book_.repeat(part, least, most);
  }

  bool quantifier(uint32_t& least, std::optional<uint32_t>& most) {
    least = 0;
    most = std::nullopt;
    if (take('*')) return true;
    if (take('+')) {
      least = 1;
      return true;
    }
    if (take('?')) {
      most = 1;
      return true;
    }
    return next_is('{') && counted(least, most);
  }

  // A brace that begins no count is an ordinary character.
  bool counted(uint32_t& least, std::optional<uint32_t>& most) {
    const size_t begin = at_++;
    const auto low = number();
    most = low;
    if (low && take(',')) most = number();
    if (!low || !take('}')) {
      at_ = begin;
      return false;
    }
    least = *low;
    if (least > count_max || most.value_or(0) > count_max)
      refuse(begin, text("repetitions of more than ", count_max, " are not supported"));
    return true;
  }

  std::optional<uint32_t> number() {
    std::optional<uint32_t> value;
    while (more() && pattern_[at_] >= '0' && pattern_[at_] <= '9')
      value = std::min(value.value_or(0) * 10 + static_cast<uint32_t>(pattern_[at_++] - '0'),
                       count_max + 1);
    return value;
  }

  expression atom(uint32_t depth) {
    const size_t begin = at_;
    const char c = pattern_[at_];
    switch (c) {
      case '(':
        ++at_;
        return group(begin, depth);
      case '[':
        ++at_;
        return character(character_class(begin));
      case '.':
        ++at_;
        return character(line_ends.complement());
      case '\\':
        return character(escape(false));
      case '^':
        refuse(begin, "'^' is supported at the beginning of the pattern alone");
        break;
      case '*':
      case '+':
      case '?':
        refuse(begin, "there is nothing to repeat");
        break;
      case '{': {
        uint32_t least = 0;
        std::optional<uint32_t> most;
        if (counted(least, most)) {
          refuse(begin, "there is nothing to repeat");
          break;
        }
        return character(one());
      }
      default:
        return character(one());
    }
    return book_.nothing();
  }

  // One character as it stands there.
  code_points one() {
    const auto [point, bytes] = first_point(pattern_.substr(at_));
    if (bytes == 0) {
      refuse(at_, "this is no UTF-8");
      return {};
    }
    at_ += bytes;
    return {{point, point}};
  }

  // -- classes

  code_points character_class(size_t begin) {
    const bool negated = take('^');
    if (next_is(']')) refuse(at_, "a class must not be empty; write \\] for the bracket");
    code_points out;
    while (more() && !next_is(']')) {
      if (next_is("[:") || next_is("[.") || next_is("[="))
        refuse(at_, "named classes are not supported");
      const size_t first_at = at_;
      const code_points first = member();
      if (!next_is('-') || next_is("-]")) {
        out.add(first);
        continue;
      }
      ++at_;
      const code_points last = more() ? member() : code_points();
      if (why_.ok() && !is_range(first, last))
        refuse(first_at, "the range of characters is reversed or no range");
      if (why_.ok()) out.add(first.ranges()[0].first, last.ranges()[0].first);
    }
    if (why_.ok() && !take(']')) refuse(begin, "the class is not ended");
    return negated ? out.complement() : out;
  }

  static bool is_one(const code_points& points) {
    return points.ranges().size() == 1 && points.ranges()[0].first == points.ranges()[0].last;
  }
  static bool is_range(const code_points& first, const code_points& last) {
    return is_one(first) && is_one(last) && first.ranges()[0].first <= last.ranges()[0].first;
  }

  code_points member() { return next_is('\\') ? escape(true) : one(); }

  code_points escape(bool in_class) {
    const size_t begin = at_++;
    if (!more()) {
      refuse(begin, "nothing follows the backslash");
      return {};
    }
    const char c = pattern_[at_];
    if (static_cast<uint8_t>(c) >= 0x80) return one();
    ++at_;
    switch (c) {
      case 'd':
        return digits;
      case 'D':
        return digits.complement();
      case 'w':
        return word;
      case 'W':
        return word.complement();
      case 's':
        return space;
      case 'S':
        return space.complement();
      case 'x':
        return coded(begin, 2);
      case 'u':
        return coded(begin, 4);
      default:
        break;
    }
    if (const auto control = control_escape(c)) return {{*control, *control}};
    const auto point = static_cast<uint32_t>(c);
    const bool digit = c >= '0' && c <= '9';
    if (c == '0' && !(more() && pattern_[at_] >= '0' && pattern_[at_] <= '9')) return {{0, 0}};
    if (c == 'b' && in_class) return {{'\b', '\b'}};
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!digit && !letter) return {{point, point}};
    if (digit || c == 'k' || c == 'g')
      refuse(begin, "references to groups are not supported");
    else if (c == 'b' || c == 'B')
      refuse(begin, "word boundaries are not supported");
    else if (c == 'p' || c == 'P')
      refuse(begin, "character properties are not supported");
    else
      refuse(begin, text("the escape \\", c, " is not supported"));
    return {};
  }

  code_points coded(size_t begin, size_t count) {
    std::optional<uint32_t> point;
    if (take('{')) {
      const size_t end = pattern_.find('}', at_);
      if (end != std::string_view::npos && end > at_ && end - at_ <= 6)
        point = hex_digits(pattern_, at_, end - at_);
      if (point) at_ = end + 1;
    } else {
      point = hex_digits(pattern_, at_, count);
      at_ += point ? count : 0;
    }
    code_points out;
    if (point) out.add(*point, *point);
    if (out.empty()) refuse(begin, "this escape names no character");
    return out;
  }

  expression_book& book_;
  const std::string_view pattern_;
  const regex_options options_;
  size_t at_ = 0;
  status why_;
};

} // namespace

result<expression> parse_regex(expression_book& book, std::string_view pattern,
                               const regex_options& options) {
  return regex_parser(book, pattern, options).run();
}

} // namespace troupe::model
