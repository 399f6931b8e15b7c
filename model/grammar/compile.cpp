// One front end for each kind of constraint.
#include "model/grammar/compile.hpp"

#include "base/text.hpp"
#include "model/grammar/ebnf.hpp"
#include "model/grammar/json_schema.hpp"
#include "model/grammar/regex.hpp"
#include "model/json_text.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace troupe::model {
namespace {

status invalid(std::string why) {
  return {status_code::invalid_argument, std::move(why)};
}

status write_regex(expression_book& book, const std::string& pattern) {
  const auto root = book.declare("the pattern");
  const auto body = parse_regex(book, pattern);
  if (!body) return body.error();
  book.define(root, *body);
  return {};
}

status write_choice(expression_book& book, const std::string& list) {
  const auto values = parse_ordered_json(list, "the choices");
  if (!values) return invalid(values.error().why());
  if (!values->is_array() || values->empty())
    return invalid("the choices must be a list of at least one string");
  std::vector<std::string> words;
  for (const auto& value : *values) {
    if (!value.is_string()) return invalid("the choices must all be strings");
    words.push_back(value.get<std::string>());
  }
  const auto root = book.declare("the choices");
  book.define(root, book.words(std::move(words)));
  return {};
}

status write(expression_book& book, const constraint& asked) {
  using kind = constraint::kind;
  switch (asked.what) {
    case kind::none:
      break;
    case kind::json_object:
      any_json_object(book);
      return {};
    case kind::json_schema:
    case kind::json_schema_lenient:
      return parse_json_schema(book, asked.text,
                               {.lenient = asked.what == kind::json_schema_lenient});
    case kind::regex:
      return write_regex(book, asked.text);
    case kind::grammar:
      return parse_ebnf(book, asked.text);
    case kind::choice:
      return write_choice(book, asked.text);
  }
  return invalid("there is no such kind of constraint");
}

} // namespace

result<network> compile(const constraint& asked, const byte_set& usable) {
  if (asked.text.size() > constraint::text_bytes_max)
    return fail(invalid(text("it has ", asked.text.size(), " bytes; at most ",
                             constraint::text_bytes_max, " are allowed")));
  expression_book book;
  if (status s = write(book, asked); !s.ok()) return fail(std::move(s));
  return network::compile(book, usable);
}

status check(const constraint& asked) {
  const auto made = compile(asked, byte_set::range(0, 255));
  return made ? status() : made.error();
}

result<constrained_text> matcher_shelf::begin_known(const constraint& asked) {
  const auto known = std::find_if(kept_.begin(), kept_.end(),
                                  [&asked](const auto& each) { return each.first == asked; });
  if (known != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, known);
  } else {
    auto grammar = compile(asked, words_->single_bytes());
    if (!grammar) return fail(grammar.error());
    kept_.emplace_front(asked, std::make_shared<matcher>(std::move(*grammar), words_));
    if (kept_.size() > kept_max_) kept_.pop_back();
  }
  return constrained_text(kept_.front().second);
}

} // namespace troupe::model
