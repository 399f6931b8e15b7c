// The parsed form of a chat template.
#pragma once

#include "model/chat_template_value.hpp"
#include "model/jinja_lexer.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::model {

struct jinja_expression;
struct jinja_statement;
using expression_pointer = std::unique_ptr<jinja_expression>;
using statement_pointer = std::unique_ptr<jinja_statement>;

// Positional arguments and named ones, in the order of the text.
struct jinja_arguments {
  std::vector<expression_pointer> positional;
  std::vector<std::pair<std::string, expression_pointer>> named;
};

enum class expression_kind {
  constant,    // constant
  name,        // name
  list,        // operands
  tuple,       // operands
  dict,        // operands: key, value, key, value, …
  attribute,   // operands: object; name
  item,        // operands: object, index
  slice,       // operands: object, first, end, step; those left out are null
  call,        // operands: callee; arguments
  filter,      // operands: subject, or null in a filter block; name, arguments
  test,        // operands: subject; name, arguments; negated
  unary,       // operands: one; name is "-", "+" or "not"
  binary,      // operands: two; name is the operator, "and" and "or" included
  compare,     // operands: a, b, c, …; names: the operators between
  conditional, // operands: value, condition, other value or null
};

struct jinja_expression {
  expression_kind kind;
  jinja_position at;
  std::string name{};
  template_value constant{};
  std::vector<expression_pointer> operands{};
  std::vector<std::string> names{};
  jinja_arguments arguments{};
  bool negated = false;
  int height = 1; // of the tree below; bounded, for whoever walks it by recursion
};

// What stands left of an assignment: a name, a member of a namespace, or several targets.
struct jinja_target {
  std::string name{};
  std::string member{};              // not empty: the member of the namespace `name`
  std::vector<jinja_target> parts{}; // not empty: to unpack into
};

struct jinja_parameter {
  std::string name;
  expression_pointer fallback; // may be null
};

enum class statement_kind {
  data,         // text
  output,       // value
  if_block,     // branches of (value, body), other
  for_loop,     // target, value, condition (may be null), body, other
  set,          // target, value
  set_block,    // target, body, filters applied to it
  macro,        // text is its name; parameters, body
  call_block,   // value is the call; parameters of the caller, body
  filter_block, // filters, body
  with_block,   // assignments, body
  scope_block,  // body: a generation block
  loop_break,
  loop_continue,
};

struct jinja_statement {
  statement_kind kind;
  jinja_position at;
  std::string text{};
  expression_pointer value{};
  expression_pointer condition{};
  jinja_target target{};
  std::vector<statement_pointer> body{};
  std::vector<statement_pointer> other{};
  std::vector<std::pair<expression_pointer, std::vector<statement_pointer>>> branches{};
  std::vector<jinja_parameter> parameters{};
  std::vector<std::pair<jinja_target, expression_pointer>> assignments{};
};

using jinja_body = std::vector<statement_pointer>;

} // namespace troupe::model
