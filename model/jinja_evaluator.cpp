// Renders a parsed chat template: walks the tree with Jinja's scopes.
#include "model/jinja_evaluator.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <ctime>
#include <memory>

namespace troupe::model {
namespace {

using value = template_value;

constexpr int64_t range_max = 100'000; // the sandbox's bound
constexpr uint64_t scope_bytes = 512;  // what a scope counts with its names, roughly

// Names that a part of the template sees first; others are looked for in the parent.
struct scope {
  scope* parent = nullptr;
  std::unordered_map<std::string, value> names{};
  bool is_kept = false; // a macro remembers it
};

enum class flow { normal, loop_break, loop_continue };

class evaluator : public jinja_runtime {
public:
  evaluator(std::string_view file_name, const jinja_limits& limits)
      : jinja_runtime(file_name, limits) {}
  ~evaluator() { clear_namespaces(); }

  result<std::string> run(const jinja_body& body, const jinja_inputs& inputs) {
    scope* globals = add_scope(nullptr);
    add_globals(*globals, inputs);
    scope* top = add_scope(globals);
    for (const auto& [name, given] : inputs.variables) top->names[name.string()] = given;
    std::string out;
    execute(body, *top, out);
    if (failed()) return fail(failure());
    return out;
  }

private:
  // Counts how deep the evaluation stands; false, and failed, beyond the bound.
  class level {
  public:
    level(evaluator& owner, jinja_position at) : owner_(owner) {
      if (++owner_.depth_ > owner_.limits_.depth_max) {
        owner_.fails(at, "nested too deeply", status_code::exhausted);
      }
      owner_.take_steps(at, 1);
    }
    ~level() { --owner_.depth_; }

  private:
    evaluator& owner_;
  };

  // Scopes live until the end, because a macro may remember the one it was made in; only that of a
  // loop's round goes when none did.
  scope* add_scope(scope* parent) {
    take_bytes({}, scope_bytes);
    scopes_.push_back(std::make_unique<scope>(scope{parent}));
    return scopes_.back().get();
  }

  void write(jinja_position at, std::string& out, std::string_view part) {
    if (part.size() > limits_.output_bytes_max - std::min(out.size(), limits_.output_bytes_max)) {
      fails(at, text("the output is longer than ", limits_.output_bytes_max, " bytes"),
            status_code::exhausted);
    } else if (take_bytes(at, part.size())) {
      out += part;
    }
  }

  // ---- globals

  void add_globals(scope& globals, const jinja_inputs& inputs) {
    const auto add = [&](const char* name, auto run) {
      globals.names[name] = make_callable(name, run);
    };
    add("raise_exception", [](jinja_runtime& runtime, const jinja_call& call) -> value {
      return runtime.fails(call.at, runtime.to_text(call.at, call.get(0, "message", "")));
    });
    add("namespace", [](jinja_runtime& runtime, const jinja_call& call) -> value {
      auto members = members_of(call);
      for (const auto& [name, member] : members) {
        if (name.is_string() && name.string().starts_with('_')) {
          return runtime.fails(call.at, text("a namespace may not hold '", name.string(), "'"));
        }
      }
      return runtime.make_namespace(call.at, std::move(members));
    });
    add("dict", [](jinja_runtime& runtime, const jinja_call& call) -> value {
      return runtime.make_dict(call.at, members_of(call));
    });
    add("range", range);
    if (!inputs.now_unix_s) return;
    const int64_t now = *inputs.now_unix_s;
    add("strftime_now", [now](jinja_runtime& runtime, const jinja_call& call) -> value {
      const value format = call.get(0, "format", {});
      if (!format.is_string()) return runtime.fails(call.at, "strftime_now needs a format");
      const auto seconds = static_cast<time_t>(now);
      std::tm parts{};
      gmtime_r(&seconds, &parts);
      char buffer[512];
      const size_t written = std::strftime(buffer, sizeof buffer, format.string().c_str(), &parts);
      return runtime.make_string(call.at, std::string(buffer, written));
    });
  }

  // dict(other, name=value, …)
  static value::entries members_of(const jinja_call& call) {
    value::entries members;
    if (!call.positional.empty() && call.positional[0].is_dict())
      members = call.positional[0].members();
    for (const auto& [name, member] : call.named) members.emplace_back(name, member);
    return members;
  }

  static value range(jinja_runtime& runtime, const jinja_call& call) {
    for (const auto& argument : call.positional) {
      if (!argument.is_int() && !argument.is_bool())
        return runtime.fails(call.at, "range needs integers");
    }
    const auto& given = call.positional;
    if (given.empty() || given.size() > 3)
      return runtime.fails(call.at, "range needs one to three numbers");
    const int64_t begin = given.size() > 1 ? given[0].integer() : 0;
    const int64_t end = given.size() > 1 ? given[1].integer() : given[0].integer();
    const int64_t step = given.size() > 2 ? given[2].integer() : 1;
    if (step == 0) return runtime.fails(call.at, "range needs a step that is not 0");
    value::items out;
    for (int64_t i = begin; step > 0 ? i < end : i > end;) {
      if (static_cast<int64_t>(out.size()) >= range_max) {
        return runtime.fails(call.at, text("a range of more than ", range_max, " numbers"));
      }
      out.emplace_back(i);
      if (__builtin_add_overflow(i, step, &i)) break;
    }
    return runtime.make_list(call.at, std::move(out));
  }

  // ---- statements

  flow execute(const jinja_body& body, scope& names, std::string& out) {
    for (const auto& statement : body) {
      const flow next = execute(*statement, names, out);
      if (failed() || next != flow::normal) return next;
    }
    return flow::normal;
  }

  flow execute(const jinja_statement& statement, scope& names, std::string& out) {
    const level deeper(*this, statement.at);
    if (failed()) return flow::normal;
    switch (statement.kind) {
      case statement_kind::data:
        write(statement.at, out, statement.text);
        break;
      case statement_kind::output:
        write(statement.at, out, to_text(statement.at, evaluate(*statement.value, names)));
        break;
      case statement_kind::if_block:
        return if_block(statement, names, out);
      case statement_kind::for_loop:
        for_loop(statement, names, out);
        break;
      case statement_kind::set:
        assign(statement, statement.target, evaluate(*statement.value, names), names);
        break;
      case statement_kind::set_block: {
        value made = captured(statement, names);
        if (statement.value) made = evaluate_filter(*statement.value, names, &made);
        assign(statement, statement.target, std::move(made), names);
        break;
      }
      case statement_kind::macro:
        names.names[statement.text] = make_macro(statement, names);
        break;
      case statement_kind::call_block: {
        auto [callee, call] = evaluate_call(*statement.value, names);
        call.named.emplace_back("caller", make_macro(statement, names));
        write(statement.at, out, to_text(statement.at, jinja_runtime::call(callee, call)));
        break;
      }
      case statement_kind::filter_block: {
        const value inner = captured(statement, names);
        const value made = evaluate_filter(*statement.value, names, &inner);
        if (!made.is_string()) fails(statement.at, "a filter block must make a string");
        write(statement.at, out, to_text(statement.at, made));
        break;
      }
      case statement_kind::with_block: {
        scope* inner = add_scope(&names);
        for (const auto& [target, given] : statement.assignments) {
          assign(statement, target, evaluate(*given, names), *inner);
        }
        return execute(statement.body, *inner, out);
      }
      case statement_kind::scope_block:
        return execute(statement.body, *add_scope(&names), out);
      case statement_kind::loop_break:
        return flow::loop_break;
      case statement_kind::loop_continue:
        return flow::loop_continue;
    }
    return flow::normal;
  }

  // The output of a body as a value.
  value captured(const jinja_statement& statement, scope& names) {
    std::string inner;
    execute(statement.body, *add_scope(&names), inner);
    return make_string(statement.at, std::move(inner));
  }

  flow if_block(const jinja_statement& statement, scope& names, std::string& out) {
    for (const auto& [condition, body] : statement.branches) {
      const bool holds = is_true(evaluate(*condition, names));
      if (failed()) return flow::normal;
      if (holds) return execute(body, names, out);
    }
    return execute(statement.other, names, out);
  }

  void for_loop(const jinja_statement& statement, scope& names, std::string& out) {
    auto loop = std::make_shared<jinja_loop>();
    loop->elements = iterate(statement.at, evaluate(*statement.value, names));
    loop->depth = ++loop_depth_;
    if (statement.condition) {
      scope* inner = add_scope(&names);
      std::erase_if(loop->elements, [&](const value& element) {
        assign(statement, statement.target, element, *inner);
        return !is_true(evaluate(*statement.condition, *inner));
      });
    }
    const size_t count = loop->elements.size();
    for (loop->index = 0; loop->index < count && !failed(); ++loop->index) {
      scope* inner = add_scope(&names);
      inner->names["loop"] = value::loop(loop);
      assign(statement, statement.target, loop->elements[loop->index], *inner);
      const flow next = execute(statement.body, *inner, out);
      if (scopes_.back().get() == inner && !inner->is_kept) scopes_.pop_back();
      if (next == flow::loop_break) break;
    }
    --loop_depth_;
    if (count == 0 && !failed()) execute(statement.other, *add_scope(&names), out);
  }

  void assign(const jinja_statement& statement, const jinja_target& target, value given,
              scope& names) {
    if (failed()) return;
    if (!target.parts.empty()) return unpack(statement, target, given, names);
    if (target.member.empty()) {
      names.names[target.name] = std::move(given);
      return;
    }
    const value space = lookup(target.name, names);
    if (!space.is_namespace()) {
      fails(statement.at,
            text("cannot assign attribute on non-namespace object '", target.name, "'"));
    } else if (target.member.starts_with('_')) {
      fails(statement.at, text("a namespace may not hold '", target.member, "'"));
    } else if (take_bytes(statement.at, sizeof(value))) {
      space.name_space().members[target.member] = std::move(given);
    }
  }

  void unpack(const jinja_statement& statement, const jinja_target& target, const value& given,
              scope& names) {
    const auto elements = iterate(statement.at, given);
    if (failed()) return;
    if (elements.size() != target.parts.size()) {
      fails(statement.at,
            text("cannot unpack ", elements.size(), " values into ", target.parts.size()));
      return;
    }
    for (size_t i = 0; i < elements.size(); ++i)
      assign(statement, target.parts[i], elements[i], names);
  }

  value make_macro(const jinja_statement& statement, scope& names) {
    names.is_kept = true;
    return make_callable(statement.text,
                         [this, &statement, &names](jinja_runtime&, const jinja_call& call) {
                           return run_macro(statement, names, call);
                         });
  }

  value run_macro(const jinja_statement& statement, scope& names, const jinja_call& call) {
    const level deeper(*this, call.at);
    if (failed()) return {};
    const auto& parameters = statement.parameters;
    if (call.positional.size() > parameters.size()) {
      return fails(call.at, text("macro '", statement.text, "' takes not more than ",
                                 parameters.size(), " argument(s)"));
    }
    scope* inner = add_scope(&names);
    for (size_t i = 0; i < parameters.size(); ++i) {
      const auto& [name, fallback] = parameters[i];
      const value* given = call.find(i, name);
      inner->names[name] = given != nullptr ? *given
                           : fallback       ? evaluate(*fallback, *inner)
                                            : value::undefined(name);
    }
    for (const auto& [name, given] : call.named) {
      const bool is_known =
          std::any_of(parameters.begin(), parameters.end(),
                      [&, &name = name](const auto& one) { return one.name == name; });
      if (name == "caller" || is_known) {
        inner->names[name] = given;
      } else {
        return fails(call.at,
                     text("macro '", statement.text, "' takes no keyword argument '", name, "'"));
      }
    }
    std::string out;
    execute(statement.body, *inner, out);
    return make_string(call.at, std::move(out));
  }

  // ---- expressions

  value lookup(const std::string& name, const scope& names) const {
    for (const scope* at = &names; at != nullptr; at = at->parent) {
      const auto found = at->names.find(name);
      if (found != at->names.end()) return found->second;
    }
    return value::undefined(name);
  }

  value evaluate(const jinja_expression& expression, scope& names) {
    const level deeper(*this, expression.at);
    if (failed()) return {};
    const auto& operands = expression.operands;
    switch (expression.kind) {
      case expression_kind::constant:
        return expression.constant;
      case expression_kind::name:
        return lookup(expression.name, names);
      case expression_kind::list:
        return make_list(expression.at, evaluate_all(operands, names));
      case expression_kind::tuple:
        return make_list(expression.at, evaluate_all(operands, names), true);
      case expression_kind::dict:
        return evaluate_dict(expression, names);
      case expression_kind::attribute:
        return attribute(expression.at, evaluate(*operands[0], names), expression.name);
      case expression_kind::item: {
        const value object = evaluate(*operands[0], names);
        return item(expression.at, object, evaluate(*operands[1], names));
      }
      case expression_kind::slice:
        return evaluate_slice(expression, names);
      case expression_kind::call: {
        const auto [callee, call] = evaluate_call(expression, names);
        return failed() ? value() : jinja_runtime::call(callee, call);
      }
      case expression_kind::filter:
        return evaluate_filter(expression, names, nullptr);
      case expression_kind::test: {
        const value subject = evaluate(*operands[0], names);
        const jinja_call call = evaluate_arguments(expression, names);
        return test(expression.name, subject, call) != expression.negated;
      }
      case expression_kind::unary:
        return evaluate_unary(expression, names);
      case expression_kind::binary:
        return evaluate_binary(expression, names);
      case expression_kind::compare:
        return evaluate_compare(expression, names);
      case expression_kind::conditional:
        if (is_true(evaluate(*operands[1], names))) return evaluate(*operands[0], names);
        return operands[2] ? evaluate(*operands[2], names) : value::undefined("the other branch");
    }
    return {};
  }

  value::items evaluate_all(const std::vector<expression_pointer>& expressions, scope& names) {
    value::items out;
    for (const auto& expression : expressions) out.push_back(evaluate(*expression, names));
    return out;
  }

  value evaluate_dict(const jinja_expression& expression, scope& names) {
    value::entries members;
    for (size_t i = 0; i + 1 < expression.operands.size(); i += 2) {
      value key = evaluate(*expression.operands[i], names);
      members.emplace_back(std::move(key), evaluate(*expression.operands[i + 1], names));
    }
    return make_dict(expression.at, std::move(members));
  }

  value evaluate_slice(const jinja_expression& expression, scope& names) {
    const value object = evaluate(*expression.operands[0], names);
    value parts[3];
    for (size_t i = 0; i < 3; ++i) {
      const auto& part = expression.operands[i + 1];
      parts[i] = part ? evaluate(*part, names) : value(nullptr);
    }
    return slice(expression.at, object, parts);
  }

  jinja_call evaluate_arguments(const jinja_expression& expression, scope& names) {
    jinja_call call{.at = expression.at,
                    .positional = evaluate_all(expression.arguments.positional, names)};
    for (const auto& [name, argument] : expression.arguments.named) {
      call.named.emplace_back(name, evaluate(*argument, names));
    }
    return call;
  }

  std::pair<value, jinja_call> evaluate_call(const jinja_expression& expression, scope& names) {
    value callee = evaluate(*expression.operands[0], names);
    return {std::move(callee), evaluate_arguments(expression, names)};
  }

  // A filter whose innermost subject is missing, as in a filter block, takes `captured`.
  value evaluate_filter(const jinja_expression& expression, scope& names, const value* captured) {
    const level deeper(*this, expression.at);
    if (failed()) return {};
    const auto& operand = expression.operands[0];
    const value subject = !operand              ? *captured
                          : captured != nullptr ? evaluate_filter(*operand, names, captured)
                                                : evaluate(*operand, names);
    const jinja_call call = evaluate_arguments(expression, names);
    return failed() ? value() : filter(expression.name, subject, call);
  }

  value evaluate_unary(const jinja_expression& expression, scope& names) {
    const value operand = evaluate(*expression.operands[0], names);
    if (failed()) return {};
    if (expression.name == "not") return !is_true(operand);
    if (expression.name == "-") return negate(expression.at, operand);
    if (operand.is_number()) return operand;
    return fails(expression.at, text("bad operand type for unary +: '", python_type(operand), "'"));
  }

  value evaluate_binary(const jinja_expression& expression, scope& names) {
    value left = evaluate(*expression.operands[0], names);
    if (expression.name == "and" || expression.name == "or") {
      const bool decides = is_true(left) == (expression.name == "or");
      return decides ? left : evaluate(*expression.operands[1], names);
    }
    return binary(expression.at, expression.name, left, evaluate(*expression.operands[1], names));
  }

  value evaluate_compare(const jinja_expression& expression, scope& names) {
    value left = evaluate(*expression.operands[0], names);
    for (size_t i = 0; i < expression.names.size(); ++i) {
      value right = evaluate(*expression.operands[i + 1], names);
      if (failed()) return {};
      if (!holds(expression, expression.names[i], left, right)) return false;
      left = std::move(right);
    }
    return true;
  }

  bool holds(const jinja_expression& expression, const std::string& sign, const value& left,
             const value& right) {
    if (sign == "==") return equal(expression.at, left, right);
    if (sign == "!=") return !equal(expression.at, left, right);
    if (sign == "in") return contains(expression.at, right, left);
    if (sign == "not in") return !contains(expression.at, right, left);
    if (left.is_undefined()) fails_undefined(expression.at, left);
    if (right.is_undefined()) fails_undefined(expression.at, right);
    const auto order = python_compare(left, right);
    if (!order) {
      fails(expression.at, text("'", sign, "' not supported between instances of '",
                                python_type(left), "' and '", python_type(right), "'"));
      return false;
    }
    if (sign == "<") return *order < 0;
    if (sign == "<=") return *order <= 0;
    return sign == ">" ? *order > 0 : *order >= 0;
  }

  std::vector<std::unique_ptr<scope>> scopes_;
  int depth_ = 0;
  size_t loop_depth_ = 0;
};

} // namespace

result<std::string> render_jinja(const jinja_body& body, const jinja_inputs& inputs,
                                 std::string_view file_name, const jinja_limits& limits) {
  return evaluator(file_name, limits).run(body, inputs);
}

} // namespace troupe::model
