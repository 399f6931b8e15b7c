// The grammar of RFC 8259, with blanks and numbers bounded.
#include "model/grammar/json_value.hpp"

#include "model/grammar/json_numbers.hpp"
#include "model/grammar/json_string.hpp"

#include <map>
#include <utility>
#include <vector>

namespace troupe::model {
namespace {

constexpr uint32_t indent_max = 32;

} // namespace

template <class Make>
json_value_writer::expression json_value_writer::shared(shared_rule which, const char* name,
                                                        Make make) {
  if (!made_[which]) made_[which] = book_.shared(name, make());
  return *made_[which];
}

json_value_writer::expression json_value_writer::blank() {
  return shared(the_blank, "blank", [this] {
    byte_set indent;
    indent.add(' ');
    indent.add('\t');
    const expression line =
        book_.sequence({book_.literal("\n"), book_.repeat(book_.bytes(indent), 0, indent_max)});
    return book_.choice({book_.nothing(), book_.literal(" "), line});
  });
}

json_value_writer::expression json_value_writer::comma() {
  return book_.sequence({book_.literal(","), blank()});
}

// Surrogates come in pairs or not at all: half of one is no text.
json_value_writer::expression json_value_writer::string_character() {
  const expression escape = shared(the_escape, "escape", [this] {
    const auto hex = [this](std::initializer_list<code_points::range> ranges) {
      return book_.one_of(code_points(ranges));
    };
    const expression digit = hex({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
    const expression other = hex({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}});
    const expression d = hex({{'D', 'D'}, {'d', 'd'}});
    const expression u = book_.literal("u");
    const expression pair =
        book_.sequence({u, d, hex({{'8', '9'}, {'A', 'B'}, {'a', 'b'}}), digit, digit,
                        book_.literal("\\u"), d, hex({{'C', 'F'}, {'c', 'f'}}), digit, digit});
    return book_.choice({book_.words({"\"", "\\", "/", "b", "f", "n", "r", "t"}),
                         book_.sequence({u, other, digit, digit, digit}),
                         book_.sequence({u, d, hex({{'0', '7'}}), digit, digit}), pair});
  });
  return book_.choice(
      {book_.one_of(json_plain_characters()), book_.sequence({book_.literal("\\"), escape})});
}

json_value_writer::expression json_value_writer::string() {
  return shared(the_string, "string", [this] {
    return book_.sequence({book_.literal("\""), book_.repeat(string_character(), 0, std::nullopt),
                           book_.literal("\"")});
  });
}

json_value_writer::expression json_value_writer::integer() {
  return shared(the_integer, "integer", [this] { return json_integer(book_, {}); });
}

json_value_writer::expression json_value_writer::number() {
  return shared(the_number, "number", [this] { return json_number(book_, {}); });
}

json_value_writer::expression json_value_writer::member(expression key, expression value) {
  return book_.sequence({key, book_.literal(":"), blank(), value});
}

json_value_writer::expression json_value_writer::in_braces(expression inside, char open,
                                                           char close) {
  return book_.sequence({book_.literal(std::string(1, open)), blank(), inside, blank(),
                         book_.literal(std::string(1, close))});
}

json_value_writer::expression json_value_writer::object() {
  if (!object_) {
    object_ = book_.declare("object");
    const expression entry = book_.shared("member", member(string(), value()));
    const expression more = book_.repeat(book_.sequence({comma(), entry}), 0, std::nullopt);
    book_.define(*object_, in_braces(book_.optional(book_.sequence({entry, more})), '{', '}'));
  }
  return book_.call(*object_);
}

json_value_writer::expression json_value_writer::array() {
  if (!array_) {
    array_ = book_.declare("array");
    const expression more = book_.repeat(book_.sequence({comma(), value()}), 0, std::nullopt);
    book_.define(*array_, in_braces(book_.optional(book_.sequence({value(), more})), '[', ']'));
  }
  return book_.call(*array_);
}

json_value_writer::expression json_value_writer::value() {
  if (!value_) {
    value_ = book_.declare("value");
    const expression object_part = object();
    const expression array_part = array();
    book_.define(*value_, book_.choice({object_part, array_part, string(), number(),
                                        book_.words({"true", "false", "null"})}));
  }
  return book_.call(*value_);
}

// A tree of the names: wherever the key leaves it, it is another one. Only plain characters, so
// that no name can be written in another way.
json_value_writer::expression json_value_writer::key_other_than(
    const std::vector<std::string>& names) {
  struct beginning {
    std::map<uint32_t, size_t> longer; // places in the list
    bool is_name = false;
  };
  std::vector<beginning> tree(1); // a list, because a name may have any length
  for (const auto& name : names) {
    size_t at = 0;
    for (std::string_view rest = name; !rest.empty();) {
      const auto [point, bytes] = first_point(rest);
      if (bytes == 0) break; // cannot be: the schema is UTF-8
      const auto [child, is_new] = tree[at].longer.try_emplace(point, tree.size());
      at = child->second;
      if (is_new) tree.emplace_back();
      rest.remove_prefix(bytes);
    }
    tree[at].is_name = true;
  }
  const expression free = book_.shared(
      "rest of a key",
      book_.sequence({book_.repeat(book_.one_of(json_plain_characters()), 0, std::nullopt),
                      book_.literal("\"")}));
  // What may follow a beginning of names, the quote included; a rule for each beginning that
  // branches off, so that long names are not deep.
  std::vector<std::pair<size_t, expression_book::rule>> work{
      {0, book_.declare("key of no property")}};
  const expression begin = book_.call(work.front().second);
  while (!work.empty()) {
    const auto [at, rule] = work.back();
    work.pop_back();
    code_points other = json_plain_characters();
    std::vector<expression> parts;
    for (const auto& [point, child] : tree[at].longer) {
      const code_points one{{point, point}};
      other = other.without(one);
      if (one.within(json_plain_characters()).empty()) continue; // never written plainly
      const auto next = book_.declare("key of no property");
      parts.push_back(book_.sequence({book_.one_of(one), book_.call(next)}));
      work.emplace_back(child, next);
    }
    parts.push_back(book_.sequence({book_.one_of(other), free}));
    if (!tree[at].is_name) parts.push_back(book_.literal("\""));
    book_.define(rule, book_.choice(std::move(parts)));
  }
  return book_.sequence({book_.literal("\""), begin});
}

} // namespace troupe::model
