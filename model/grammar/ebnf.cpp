// Recursive descent over the rules.
#include "model/grammar/ebnf.hpp"

#include "base/text.hpp"
#include "model/grammar/character_escape.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::model {
namespace {

using expression = expression_book::expression;

constexpr uint32_t groups_max = 200;    // within each other
constexpr uint32_t quantifiers_max = 8; // behind one item
constexpr uint32_t count_max = 100'000;
constexpr std::string_view defines = "::=";

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

class ebnf_parser {
public:
  ebnf_parser(expression_book& book, std::string_view grammar) : book_(book), grammar_(grammar) {}

  status run() {
    rule_named("root", 0);
    skip();
    while (more()) definition();
    for (const auto& [name, known] : rules_)
      if (why_.ok() && !book_.rules()[known.number].body)
        refuse(known.first_use, text("the rule '", name, "' is not defined"));
    return why_;
  }

private:
  struct known_rule {
    expression_book::rule number = 0;
    size_t first_use = 0;
  };

  // -- the text

  bool more() const { return why_.ok() && at_ < grammar_.size(); }
  bool next_is(char c) const { return more() && grammar_[at_] == c; }
  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }

  // Spaces, line ends and comments mean nothing anywhere.
  void skip() {
    while (more()) {
      const char c = grammar_[at_];
      if (c == '#')
        at_ = std::min(grammar_.find('\n', at_), grammar_.size());
      else if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
        ++at_;
      else
        return;
    }
  }

  void refuse(size_t at, std::string_view why) {
    if (!why_.ok()) return;
    const std::string_view before = grammar_.substr(0, at);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t line_begin = before.rfind('\n') + 1; // 0 when there is none
    why_ = status(status_code::invalid_argument,
                  text("line ", line, ", column ", at - line_begin + 1, ": ", why));
  }

  // -- rules

  expression_book::rule rule_named(std::string name, size_t at) {
    const auto entry = rules_.find(name);
    if (entry != rules_.end()) return entry->second.number;
    const auto number = book_.declare(name);
    rules_.emplace(std::move(name), known_rule{number, at});
    return number;
  }

  std::string name() {
    const size_t begin = at_;
    while (more() && is_name_character(grammar_[at_])) ++at_;
    return std::string(grammar_.substr(begin, at_ - begin));
  }

  // Whether what follows is a name that is being defined; nothing is taken.
  bool at_definition() {
    const size_t begin = at_;
    const bool named = !name().empty();
    skip();
    const bool defined = named && grammar_.substr(at_).starts_with(defines);
    at_ = begin;
    return defined;
  }

  void definition() {
    const size_t begin = at_;
    if (!at_definition())
      return refuse(begin, "a rule is expected here, such as: root ::= \"yes\" | \"no\"");
    const std::string called = name();
    const auto rule = rule_named(called, begin);
    if (book_.rules()[rule].body)
      return refuse(begin, text("the rule '", called, "' is defined twice"));
    skip();
    at_ += defines.size();
    const expression body = alternatives(0);
    if (more() && !at_definition()) refuse(at_, "this belongs to no rule");
    book_.define(rule, body);
  }

  expression alternatives(uint32_t depth) {
    std::vector<expression> parts;
    do {
      parts.push_back(sequence(depth));
    } while (take('|'));
    return book_.choice(std::move(parts));
  }

  expression sequence(uint32_t depth) {
    std::vector<expression> parts;
    for (skip(); more() && !next_is('|') && !next_is(')') && !at_definition(); skip())
      parts.push_back(quantified(depth));
    return book_.sequence(std::move(parts));
  }

  expression quantified(uint32_t depth) {
    expression part = item(depth);
    uint32_t quantifiers = 0;
    for (skip(); more(); skip()) {
      if (take('*'))
        part = book_.repeat(part, 0, std::nullopt);
      else if (take('+'))
        part = book_.repeat(part, 1, std::nullopt);
      else if (take('?'))
        part = book_.optional(part);
      else if (next_is('{'))
        part = counted(part);
      else
        break;
      if (++quantifiers > quantifiers_max) refuse(at_, "too many quantifiers in a row");
    }
    return part;
  }

  expression counted(expression part) {
    const size_t begin = at_++;
    const auto low = number();
    auto high = low;
    if (low && take(',')) high = number();
    skip();
    if (!low || !take('}'))
      refuse(begin, "a repetition is written {3}, {3,} or {3,5}");
    else if (high && *high < *low)
      refuse(begin, "the bounds of the repetition are reversed");
    else if (*low > count_max || high.value_or(0) > count_max)
      refuse(begin, text("repetitions of more than ", count_max, " are not supported"));
    else
      return book_.repeat(part, *low, high);
    return part;
  }

  std::optional<uint32_t> number() {
    skip();
    std::optional<uint32_t> value;
    while (more() && grammar_[at_] >= '0' && grammar_[at_] <= '9')
      value = std::min(value.value_or(0) * 10 + static_cast<uint32_t>(grammar_[at_++] - '0'),
                       count_max + 1);
    skip();
    return value;
  }

  expression item(uint32_t depth) {
    const size_t begin = at_;
    const char c = grammar_[at_];
    if (c == '"' || c == '\'') return literal();
    if (c == '[') return character_class();
    if (take('.')) return book_.one_of(code_points::all());
    if (take('(')) {
      if (depth >= groups_max) {
        refuse(begin, text("more than ", groups_max, " groups in each other"));
        return book_.nothing();
      }
      const expression inside = alternatives(depth + 1);
      if (why_.ok() && !take(')')) refuse(begin, "the group is not ended");
      return inside;
    }
    const std::string called = name();
    if (!called.empty()) return book_.call(rule_named(called, begin));
    refuse(begin,
           "a text in quotes, a class in brackets, a group or the name of a rule is expected");
    return book_.nothing();
  }

  expression literal() {
    const size_t begin = at_;
    const char quote = grammar_[at_++];
    std::string content;
    while (more() && !next_is(quote)) {
      if (next_is('\n')) break;
      append_utf8(content, character());
    }
    if (why_.ok() && !take(quote)) refuse(begin, "the text is not ended on its line");
    return book_.literal(content);
  }

  expression character_class() {
    const size_t begin = at_++;
    const bool negated = take('^');
    code_points points;
    while (more() && !next_is(']')) {
      const size_t first_at = at_;
      const uint32_t first = character();
      uint32_t last = first;
      if (next_is('-') && !grammar_.substr(at_).starts_with("-]")) {
        ++at_;
        last = more() ? character() : first;
      }
      if (last < first) refuse(first_at, "the range of characters is reversed");
      points.add(first, last);
    }
    if (why_.ok() && !take(']')) refuse(begin, "the class is not ended");
    if (points.empty()) refuse(begin, "the class is empty");
    return book_.one_of(negated ? points.complement() : points);
  }

  uint32_t character() {
    if (next_is('\\')) return escape();
    const auto [point, bytes] = first_point(grammar_.substr(at_));
    if (bytes == 0) refuse(at_, "this is no UTF-8");
    at_ += bytes;
    return point;
  }

  uint32_t escape() {
    const size_t begin = at_++;
    if (!more()) {
      refuse(begin, "nothing follows the backslash");
      return 0;
    }
    const char c = grammar_[at_++];
    if (const auto control = control_escape(c)) return *control;
    const size_t length = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (length > 0) {
      const auto point = hex_digits(grammar_, at_, length);
      code_points valid;
      if (point && *point <= code_point_max) valid.add(*point, *point);
      if (valid.empty()) refuse(begin, "this escape names no character");
      at_ += point ? length : 0;
      return point.value_or(0);
    }
    if (std::string_view("\\\"'[]-^").find(c) == std::string_view::npos)
      refuse(begin, text("the escape \\", c, " is not supported"));
    return static_cast<uint8_t>(c);
  }

  expression_book& book_;
  const std::string_view grammar_;
  size_t at_ = 0;
  status why_;
  std::map<std::string, known_rule> rules_;
};

} // namespace

status parse_ebnf(expression_book& book, std::string_view grammar) {
  return ebnf_parser(book, grammar).run();
}

} // namespace troupe::model
