// From the tokens of a chat template to its parsed form: recursive descent with a bound on the
// depth.
#include "model/jinja_parser.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <charconv>
#include <initializer_list>

namespace troupe::model {
namespace {

using kind = jinja_token_kind;

// Nesting of expressions and blocks together; each level costs a few hundred bytes of stack in the
// parser and in the evaluator.
constexpr int depth_max = 150;
// Height of one expression, in which long chains of operators count too.
constexpr int height_max = 250;

// The first failure stays; after it every function returns at once with something harmless.
class parser {
public:
  parser(std::vector<jinja_token> tokens, std::string_view file_name)
      : tokens_(std::move(tokens)), file_name_(file_name) {}

  result<jinja_body> run() {
    jinja_body body = statements({});
    if (!failure_.ok()) return fail(std::move(failure_));
    return body;
  }

private:
  // Counts how deep the parser stands.
  class level {
  public:
    explicit level(parser& owner) : owner_(owner) {
      if (++owner_.depth_ > depth_max) owner_.fails("nested too deeply", status_code::exhausted);
    }
    ~level() { --owner_.depth_; }

  private:
    parser& owner_;
  };

  const jinja_token& now() const { return tokens_[at_]; }
  bool failed() const { return !failure_.ok(); }
  void advance() {
    if (now().kind != kind::end) ++at_;
  }

  void fails(std::string_view why, status_code code = status_code::corrupt) {
    if (failed()) return;
    failure_ = jinja_failure(file_name_, now().at, why, code);
    at_ = tokens_.size() - 1; // nothing is left to read
  }

  std::string now_text() const {
    switch (now().kind) {
      case kind::end:
        return "the end of the template";
      case kind::block_end:
        return "'%}'";
      case kind::variable_end:
        return "'}}'";
      case kind::string:
        return "a string";
      default:
        return text("'", now().text, "'");
    }
  }

  bool is_sign(std::string_view sign) const {
    return now().kind == kind::sign && now().text == sign;
  }
  bool is_name(std::string_view name) const {
    return now().kind == kind::name && now().text == name;
  }
  bool is_any_name(std::initializer_list<std::string_view> names) const {
    return std::any_of(names.begin(), names.end(),
                       [this](std::string_view name) { return is_name(name); });
  }
  bool skip_sign(std::string_view sign) {
    const bool found = is_sign(sign);
    if (found) advance();
    return found;
  }
  bool skip_name(std::string_view name) {
    const bool found = is_name(name);
    if (found) advance();
    return found;
  }
  void expect_sign(std::string_view sign) {
    if (!skip_sign(sign)) fails(text("expected '", sign, "', found ", now_text()));
  }
  void expect_name(std::string_view name) {
    if (!skip_name(name)) fails(text("expected '", name, "', found ", now_text()));
  }
  void expect_block_end() {
    if (now().kind != kind::block_end) return fails(text("expected '%}', found ", now_text()));
    advance();
  }
  std::string any_name() {
    if (now().kind != kind::name) fails(text("expected a name, found ", now_text()));
    std::string name = now().text;
    advance();
    return name;
  }

  // ---- statements

  // Up to a block that begins with one of the names, whose name stays the current token; without
  // names up to the end.
  jinja_body statements(std::initializer_list<std::string_view> ends) {
    const level deeper(*this);
    jinja_body body;
    while (!failed() && now().kind != kind::end) {
      if (now().kind == kind::data) {
        auto made = begin(statement_kind::data);
        made->text = now().text;
        advance();
        body.push_back(std::move(made));
      } else if (now().kind == kind::variable_begin) {
        auto made = begin(statement_kind::output);
        advance();
        made->value = expression_or_tuple();
        if (now().kind != kind::variable_end) fails(text("expected '}}', found ", now_text()));
        advance();
        body.push_back(std::move(made));
      } else {
        advance(); // block_begin
        if (is_any_name(ends)) return body;
        body.push_back(block());
      }
    }
    if (ends.size() != 0) fails(text("the block is not closed with '", *(ends.end() - 1), "'"));
    return body;
  }

  statement_pointer begin(statement_kind what) {
    auto made = std::make_unique<jinja_statement>(jinja_statement{.kind = what, .at = now().at});
    return made;
  }

  statement_pointer block() {
    auto made = begin(statement_kind::data);
    const std::string name = now().kind == kind::name ? now().text : "";
    if (name == "if") {
      if_block(*made);
    } else if (name == "for") {
      for_loop(*made);
    } else if (name == "set") {
      set(*made);
    } else if (name == "macro") {
      macro(*made);
    } else if (name == "call") {
      call_block(*made);
    } else if (name == "filter") {
      filter_block(*made);
    } else if (name == "with") {
      with_block(*made);
    } else if (name == "generation") {
      made->kind = statement_kind::scope_block;
      advance();
      expect_block_end();
      made->body = statements({"endgeneration"});
      end_block("endgeneration");
    } else if (name == "break" || name == "continue") {
      made->kind = name == "break" ? statement_kind::loop_break : statement_kind::loop_continue;
      if (loops_ == 0) fails(text("'", name, "' outside a loop"));
      advance();
      expect_block_end();
    } else {
      const bool is_known = is_any_name(
          {"include", "import", "from", "extends", "block", "autoescape", "do", "trans"});
      fails(is_known ? text("the tag '", name, "' is not supported")
                     : text("unknown tag ", now_text()),
            is_known ? status_code::unsupported : status_code::corrupt);
    }
    return made;
  }

  void end_block(std::string_view name) {
    expect_name(name);
    expect_block_end();
  }

  void if_block(jinja_statement& made) {
    made.kind = statement_kind::if_block;
    do {
      advance(); // if, elif
      auto condition = expression_or_tuple(false);
      expect_block_end();
      auto body = statements({"elif", "else", "endif"});
      made.branches.emplace_back(std::move(condition), std::move(body));
    } while (is_name("elif") && !failed());
    if (skip_name("else")) {
      expect_block_end();
      made.other = statements({"endif"});
    }
    end_block("endif");
  }

  void for_loop(jinja_statement& made) {
    made.kind = statement_kind::for_loop;
    advance();
    made.target = target(false);
    expect_name("in");
    made.value = expression_or_tuple(false);
    if (skip_name("if")) made.condition = expression();
    if (is_name("recursive"))
      return fails("recursive loops are not supported", status_code::unsupported);
    expect_block_end();
    ++loops_;
    made.body = statements({"else", "endfor"});
    --loops_;
    if (skip_name("else")) {
      expect_block_end();
      made.other = statements({"endfor"});
    }
    end_block("endfor");
  }

  void set(jinja_statement& made) {
    made.kind = statement_kind::set;
    advance();
    made.target = target(true);
    if (skip_sign("=")) {
      made.value = expression_or_tuple();
      return expect_block_end();
    }
    made.kind = statement_kind::set_block;
    made.value = filters(nullptr);
    expect_block_end();
    made.body = statements({"endset"});
    end_block("endset");
  }

  void macro(jinja_statement& made) {
    made.kind = statement_kind::macro;
    advance();
    made.text = any_name();
    made.parameters = parameters();
    expect_block_end();
    made.body = body_outside_loops("endmacro");
    end_block("endmacro");
  }

  void call_block(jinja_statement& made) {
    made.kind = statement_kind::call_block;
    advance();
    if (is_sign("(")) made.parameters = parameters();
    made.value = expression();
    if (!failed() && made.value->kind != expression_kind::call) fails("expected a call");
    expect_block_end();
    made.body = body_outside_loops("endcall");
    end_block("endcall");
  }

  // A macro does not break the loop it stands in.
  jinja_body body_outside_loops(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    auto body = statements({end});
    loops_ = loops;
    return body;
  }

  void filter_block(jinja_statement& made) {
    made.kind = statement_kind::filter_block;
    advance();
    made.value = one_filter(nullptr);
    made.value = filters(std::move(made.value));
    expect_block_end();
    made.body = statements({"endfilter"});
    end_block("endfilter");
  }

  void with_block(jinja_statement& made) {
    made.kind = statement_kind::with_block;
    advance();
    while (!failed() && now().kind != kind::block_end) {
      if (!made.assignments.empty()) expect_sign(",");
      auto where = target(false);
      expect_sign("=");
      auto value = expression();
      made.assignments.emplace_back(std::move(where), std::move(value));
    }
    expect_block_end();
    made.body = statements({"endwith"});
    end_block("endwith");
  }

  std::vector<jinja_parameter> parameters() {
    std::vector<jinja_parameter> out;
    expect_sign("(");
    while (!failed() && !is_sign(")")) {
      if (!out.empty()) expect_sign(",");
      jinja_parameter made{any_name(), nullptr};
      if (skip_sign("=")) {
        made.fallback = expression();
      } else if (!out.empty() && out.back().fallback) {
        fails("a parameter without a default behind one with a default");
      }
      out.push_back(std::move(made));
    }
    expect_sign(")");
    return out;
  }

  // a | a, b | (a, b) | ns.member
  jinja_target target(bool with_members) {
    const level deeper(*this);
    std::vector<jinja_target> parts;
    bool is_several = false;
    do {
      if (is_several &&
          (is_sign("=") || is_name("in") || is_sign(")") || now().kind == kind::block_end))
        break;
      if (skip_sign("(")) {
        parts.push_back(target(false));
        expect_sign(")");
      } else {
        jinja_target made{any_name()};
        if (with_members && skip_sign(".")) made.member = any_name();
        static constexpr std::string_view constants[] = {"true", "false", "none",
                                                         "True", "False", "None"};
        if (std::find(std::begin(constants), std::end(constants), made.name) !=
            std::end(constants)) {
          fails(text("cannot assign to '", made.name, "'"));
        }
        parts.push_back(std::move(made));
      }
      is_several = is_several || is_sign(",");
    } while (!failed() && skip_sign(","));
    if (!is_several && !parts.empty()) return std::move(parts.front());
    return {.parts = std::move(parts)};
  }

  // ---- expressions

  expression_pointer make(expression_kind what, std::string name = {}) {
    return std::make_unique<jinja_expression>(
        jinja_expression{.kind = what, .at = now().at, .name = std::move(name)});
  }

  expression_pointer make_over(expression_kind what, std::string name, expression_pointer left,
                               expression_pointer right = nullptr) {
    auto made = make(what, std::move(name));
    if (left) made->at = left->at;
    adopt(*made, std::move(left));
    if (right) adopt(*made, std::move(right));
    return made;
  }

  void grow(jinja_expression& parent, const jinja_expression& child) {
    parent.height = std::max(parent.height, child.height + 1);
    if (parent.height > height_max) fails("the expression is too long", status_code::exhausted);
  }

  void adopt(jinja_expression& parent, expression_pointer child) {
    if (child) grow(parent, *child);
    parent.operands.push_back(std::move(child));
  }

  expression_pointer expression(bool with_condition = true) {
    const level deeper(*this);
    if (failed()) return make(expression_kind::constant);
    auto value = or_expression();
    while (with_condition && !failed() && skip_name("if")) {
      auto condition = or_expression();
      auto made =
          make_over(expression_kind::conditional, "", std::move(value), std::move(condition));
      adopt(*made, skip_name("else") ? expression() : nullptr);
      value = std::move(made);
    }
    return value;
  }

  // `a, b` without brackets is a tuple.
  expression_pointer expression_or_tuple(bool with_condition = true) {
    auto first = expression(with_condition);
    if (!is_sign(",")) return first;
    auto made = make_over(expression_kind::tuple, "", std::move(first));
    while (!failed() && skip_sign(",")) {
      const bool ends =
          now().kind == kind::variable_end || now().kind == kind::block_end || is_sign(")");
      if (ends) break;
      adopt(*made, expression(with_condition));
    }
    return made;
  }

  expression_pointer or_expression() {
    auto left = and_expression();
    while (!failed() && skip_name("or")) {
      left = make_over(expression_kind::binary, "or", std::move(left), and_expression());
    }
    return left;
  }

  expression_pointer and_expression() {
    auto left = not_expression();
    while (!failed() && skip_name("and")) {
      left = make_over(expression_kind::binary, "and", std::move(left), not_expression());
    }
    return left;
  }

  expression_pointer not_expression() {
    const level deeper(*this);
    if (failed()) return make(expression_kind::constant);
    if (!is_name("not")) return comparison();
    auto made = make(expression_kind::unary, "not");
    advance();
    adopt(*made, not_expression());
    return made;
  }

  std::string comparison_operator() {
    for (const char* sign : {"==", "!=", "<", "<=", ">", ">="}) {
      if (skip_sign(sign)) return sign;
    }
    if (skip_name("in")) return "in";
    if (is_name("not") && tokens_[at_ + 1].kind == kind::name && tokens_[at_ + 1].text == "in") {
      advance();
      advance();
      return "not in";
    }
    return {};
  }

  expression_pointer comparison() {
    auto left = sum();
    expression_pointer made;
    while (!failed()) {
      std::string sign = comparison_operator();
      if (sign.empty()) break;
      if (!made) made = make_over(expression_kind::compare, "", std::move(left));
      made->names.push_back(std::move(sign));
      adopt(*made, sum());
    }
    return made ? std::move(made) : std::move(left);
  }

  // One level of operators that bind from the left.
  template <class Next>
  expression_pointer chain(std::initializer_list<std::string_view> signs, Next next) {
    auto left = next();
    while (!failed()) {
      const auto sign =
          std::find_if(signs.begin(), signs.end(), [this](auto s) { return is_sign(s); });
      if (sign == signs.end()) return left;
      advance();
      left = make_over(expression_kind::binary, std::string(*sign), std::move(left), next());
    }
    return left;
  }

  expression_pointer sum() {
    return chain({"+", "-"}, [this] { return concatenation(); });
  }
  expression_pointer concatenation() {
    return chain({"~"}, [this] { return product(); });
  }
  expression_pointer product() {
    return chain({"*", "/", "//", "%"}, [this] { return power(); });
  }
  expression_pointer power() {
    return chain({"**"}, [this] { return unary(true); });
  }

  expression_pointer unary(bool with_filters) {
    const level deeper(*this);
    if (failed()) return make(expression_kind::constant);
    expression_pointer made;
    if (is_sign("-") || is_sign("+")) {
      made = make(expression_kind::unary, now().text);
      advance();
      adopt(*made, unary(false));
    } else {
      made = primary();
    }
    made = postfix(std::move(made));
    return with_filters ? filters_and_tests(std::move(made)) : std::move(made);
  }

  expression_pointer constant(template_value value) {
    auto made = make(expression_kind::constant);
    made->constant = std::move(value);
    advance();
    return made;
  }

  expression_pointer primary() {
    switch (now().kind) {
      case kind::name:
        return name_or_constant();
      case kind::string: {
        std::string value = now().text;
        while (tokens_[at_ + 1].kind == kind::string) {
          advance();
          value += now().text;
        }
        return constant(std::move(value));
      }
      case kind::integer: {
        int64_t value = 0;
        const auto [end, error] =
            std::from_chars(now().text.data(), now().text.data() + now().text.size(), value);
        if (error != std::errc() || end != now().text.data() + now().text.size())
          fails("the number is too large");
        return constant(value);
      }
      case kind::floating: {
        double value = 0;
        std::from_chars(now().text.data(), now().text.data() + now().text.size(), value);
        return constant(value);
      }
      default:
        break;
    }
    if (is_sign("(")) return parenthesis();
    if (is_sign("[")) return list();
    if (is_sign("{")) return dict();
    fails(text("expected an expression, found ", now_text()));
    return make(expression_kind::constant);
  }

  expression_pointer name_or_constant() {
    const std::string& name = now().text;
    if (name == "true" || name == "True") return constant(true);
    if (name == "false" || name == "False") return constant(false);
    if (name == "none" || name == "None") return constant(nullptr);
    auto made = make(expression_kind::name, name);
    advance();
    return made;
  }

  expression_pointer parenthesis() {
    auto empty = make(expression_kind::tuple);
    advance();
    if (skip_sign(")")) return empty;
    auto made = expression_or_tuple();
    expect_sign(")");
    return made;
  }

  expression_pointer list() {
    auto made = make(expression_kind::list);
    advance();
    while (!failed() && !is_sign("]")) {
      if (!made->operands.empty()) expect_sign(",");
      if (is_sign("]")) break;
      adopt(*made, expression());
    }
    expect_sign("]");
    return made;
  }

  expression_pointer dict() {
    auto made = make(expression_kind::dict);
    advance();
    while (!failed() && !is_sign("}")) {
      if (!made->operands.empty()) expect_sign(",");
      if (is_sign("}")) break;
      adopt(*made, expression());
      expect_sign(":");
      adopt(*made, expression());
    }
    expect_sign("}");
    return made;
  }

  expression_pointer postfix(expression_pointer made) {
    while (!failed()) {
      if (skip_sign(".")) {
        if (now().kind == kind::integer) {
          auto index = primary();
          made = make_over(expression_kind::item, "", std::move(made), std::move(index));
        } else {
          made = make_over(expression_kind::attribute, any_name(), std::move(made));
        }
      } else if (skip_sign("[")) {
        made = subscript(std::move(made));
      } else if (is_sign("(")) {
        made = make_over(expression_kind::call, "", std::move(made));
        read_arguments(*made);
      } else {
        break;
      }
    }
    return made;
  }

  expression_pointer subscript(expression_pointer object) {
    const auto is_part_end = [this] { return is_sign(":") || is_sign("]"); };
    expression_pointer first = is_part_end() ? nullptr : expression();
    if (!is_sign(":")) {
      if (!first) fails("expected an index");
      expect_sign("]");
      return make_over(expression_kind::item, "", std::move(object), std::move(first));
    }
    auto made = make_over(expression_kind::slice, "", std::move(object));
    adopt(*made, std::move(first));
    for (int i = 0; i < 2; ++i) {
      const bool is_there = skip_sign(":") && !is_part_end();
      adopt(*made, is_there ? expression() : nullptr);
    }
    expect_sign("]");
    return made;
  }

  void read_arguments(jinja_expression& parent) {
    jinja_arguments& out = parent.arguments;
    expect_sign("(");
    bool is_first = true;
    while (!failed() && !is_sign(")")) {
      if (!is_first) expect_sign(",");
      is_first = false;
      if (is_sign(")")) break;
      if (is_sign("*") || is_sign("**")) {
        fails("unpacked arguments are not supported", status_code::unsupported);
      } else if (now().kind == kind::name && tokens_[at_ + 1].kind == kind::sign &&
                 tokens_[at_ + 1].text == "=") {
        std::string name = any_name();
        advance();
        out.named.emplace_back(std::move(name), expression());
        grow(parent, *out.named.back().second);
      } else if (!out.named.empty()) {
        fails("a positional argument behind a named one");
      } else {
        out.positional.push_back(expression());
        grow(parent, *out.positional.back());
      }
    }
    expect_sign(")");
  }

  expression_pointer filters_and_tests(expression_pointer made) {
    while (!failed()) {
      if (is_sign("|")) {
        advance();
        made = one_filter(std::move(made));
      } else if (is_name("is")) {
        made = test(std::move(made));
      } else if (is_sign("(")) {
        made = make_over(expression_kind::call, "", std::move(made));
        read_arguments(*made);
      } else {
        break;
      }
    }
    return made;
  }

  // Only filters, each behind a '|'; null without any when there was no subject.
  expression_pointer filters(expression_pointer made) {
    while (!failed() && skip_sign("|")) made = one_filter(std::move(made));
    return made;
  }

  expression_pointer one_filter(expression_pointer subject) {
    auto made = make(expression_kind::filter);
    made->name = any_name();
    adopt(*made, std::move(subject));
    if (is_sign("(")) read_arguments(*made);
    return made;
  }

  expression_pointer test(expression_pointer subject) {
    advance(); // is
    auto made = make(expression_kind::test);
    made->negated = skip_name("not");
    made->name = any_name();
    adopt(*made, std::move(subject));
    const bool starts_value = now().kind == kind::name || now().kind == kind::string ||
                              now().kind == kind::integer || now().kind == kind::floating ||
                              is_sign("[") || is_sign("{");
    if (is_sign("(")) {
      read_arguments(*made);
    } else if (starts_value && !is_any_name({"else", "or", "and"})) {
      if (is_name("is")) fails("tests cannot be chained with 'is'");
      // `if` belongs to a conditional expression or to a loop; no test takes it.
      if (!is_name("if") && !is_name("not") && !is_name("in")) {
        auto argument = primary();
        made->arguments.positional.push_back(postfix(std::move(argument)));
        grow(*made, *made->arguments.positional.back());
      }
    }
    return made;
  }

  std::vector<jinja_token> tokens_;
  std::string_view file_name_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;
  status failure_;
};

} // namespace

result<jinja_body> parse_jinja(std::string_view source, std::string_view file_name) {
  auto tokens = lex_jinja(source, file_name);
  if (!tokens) return tl::make_unexpected(std::move(tokens).error());
  return parser(std::move(*tokens), file_name).run();
}

} // namespace troupe::model
