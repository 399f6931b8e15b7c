// The parts that JSON texts are made of, as expressions; shared rules are made when they are first
// used. For sources of grammar/ only.
#pragma once

#include "model/grammar/expressions.hpp"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace troupe::model {

class json_value_writer {
public:
  using expression = expression_book::expression;

  explicit json_value_writer(expression_book& book) : book_(book) {}

  // Nothing, a blank, or a line end and an indent: bounded, so that no answer is blanks for ever.
  expression blank();
  expression comma(); // with the blank behind it
  expression string_character();
  expression string(); // any
  expression integer();
  expression number();
  expression object(); // any
  expression array();  // any
  expression value();  // any
  // Any string but these.
  expression key_other_than(const std::vector<std::string>& names);
  // `key: value`.
  expression member(expression key, expression value);
  expression in_braces(expression inside, char open, char close);

private:
  enum shared_rule : size_t {
    the_blank,
    the_escape,
    the_string,
    the_integer,
    the_number,
    the_count
  };
  template <class Make>
  expression shared(shared_rule which, const char* name, Make make);
  expression_book::rule value_rule();

  expression_book& book_;
  std::array<std::optional<expression>, the_count> made_;
  std::optional<expression_book::rule> value_, object_, array_;
};

} // namespace troupe::model
