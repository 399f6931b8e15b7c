// What the front ends (schemas, patterns, rules) write: expressions over bytes and the rules they
// stand in. Compiled by grammar/network.hpp.
#pragma once

#include "model/grammar/code_points.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

// Expressions are numbers in their book and may be used any number of times. They are not expanded
// here, so a repetition costs nothing yet.
class expression_book {
public:
  using expression = uint32_t;
  using rule = uint32_t;

  enum class kind : uint8_t { bytes, literal, sequence, choice, words, repeat, call };
  struct node {
    kind what = kind::literal;
    byte_set bytes{};                // bytes
    std::string text{};              // literal
    std::vector<expression> parts{}; // sequence, choice; the one of a repeat
    std::vector<std::string> words{};
    uint32_t least = 0; // repeat
    std::optional<uint32_t> most{};
    rule callee = 0; // call
  };
  struct rule_entry {
    std::string name;
    std::optional<expression> body;
  };

  expression nothing() { return literal(""); } // the empty text
  expression literal(std::string_view text);
  expression bytes(const byte_set& set);
  // One of these characters, in UTF-8. An empty set matches no text at all. A rule has to be
  // declared before: sets with all characters beyond ASCII share a rule for these.
  expression one_of(const code_points& points);
  expression sequence(std::vector<expression> parts);
  expression choice(std::vector<expression> parts); // none: no text at all
  expression words(std::vector<std::string> words); // one of them; cheaper than their choice
  expression repeat(expression part, uint32_t least, std::optional<uint32_t> most);
  expression optional(expression part) { return repeat(part, 0, 1); }
  expression call(rule callee);

  // A rule may be called before it is defined. The first one declared is where texts begin.
  rule declare(std::string name);
  void define(rule which, expression body);
  // A rule of its own around an expression that is used often.
  expression shared(std::string name, expression body);

  const node& at(expression which) const { return nodes_[which]; }
  size_t size() const { return nodes_.size(); }
  const std::vector<rule_entry>& rules() const { return rules_; }

private:
  expression add(node made);
  expression spelled_out(const code_points& points);

  std::vector<node> nodes_;
  std::vector<rule_entry> rules_;
  std::optional<rule> beyond_ascii_;
};

} // namespace troupe::model
