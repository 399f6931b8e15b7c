// What the evaluation of a chat template stands on: bounds, failures, attributes, calls, filters
// and tests.
#pragma once

#include "base/status.hpp"
#include "model/chat_template_value.hpp"
#include "model/jinja_lexer.hpp"
#include "model/jinja_python.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace troupe::model {

// A hostile template ends at one of these with `exhausted`.
struct jinja_limits {
  uint64_t steps_max = 20'000'000; // expressions and statements evaluated, values walked over
  uint64_t bytes_max = uint64_t{256} << 20; // of all text made on the way
  size_t output_bytes_max = size_t{16} << 20;
  int depth_max = 500; // of nested evaluation
};

// The evaluated arguments of a call, filter or test.
struct jinja_call {
  jinja_position at;
  template_value::items positional{};
  std::vector<std::pair<std::string, template_value>> named{};

  // The argument at the index or with the name; null when it is not given.
  const template_value* find(size_t index, std::string_view name) const;
  template_value get(size_t index, std::string_view name, template_value fallback) const;
};

class jinja_runtime;

struct jinja_callable {
  std::string name;
  std::function<template_value(jinja_runtime&, const jinja_call&)> run;
};

struct jinja_namespace {
  std::unordered_map<std::string, template_value> members;
};

struct jinja_loop {
  template_value::items elements;
  size_t index = 0;
  size_t depth = 1;
};

// The first failure stays; everything after it returns at once with something harmless.
class jinja_runtime {
public:
  jinja_runtime(std::string_view file_name, const jinja_limits& limits)
      : file_name_(file_name),
        limits_(limits),
        steps_left_(limits.steps_max),
        bytes_left_(limits.bytes_max) {}

  bool failed() const { return !failure_.ok(); }
  const status& failure() const { return failure_; }
  // Always undefined, for `return fails(…)`.
  template_value fails(jinja_position at, std::string_view why,
                       status_code code = status_code::invalid_argument);
  template_value fails_undefined(jinja_position at, const template_value& value);

  // False, and failed, when the bound is reached.
  bool take_steps(jinja_position at, uint64_t count);
  bool take_bytes(jinja_position at, uint64_t count);

  // Values of text and containers, counted against the bounds.
  template_value make_string(jinja_position at, std::string what);
  template_value make_list(jinja_position at, template_value::items elements,
                           bool is_tuple = false);
  template_value make_dict(jinja_position at, template_value::entries members);
  template_value make_namespace(jinja_position at, template_value::entries members);
  template_value make_callable(
      std::string name, std::function<template_value(jinja_runtime&, const jinja_call&)> run);

  // str() of a value.
  std::string to_text(jinja_position at, const template_value& value);
  bool equal(jinja_position at, const template_value& a, const template_value& b);
  bool contains(jinja_position at, const template_value& container, const template_value& element);
  // What a loop goes over: elements, keys, letters.
  template_value::items iterate(jinja_position at, const template_value& value);
  // Nothing for a value without a length.
  std::optional<int64_t> length(const template_value& value) const;

  template_value attribute(jinja_position at, const template_value& object, std::string_view name);
  template_value item(jinja_position at, const template_value& object, const template_value& key);
  template_value slice(jinja_position at, const template_value& object,
                       const template_value (&parts)[3]);
  // "a.b.0" from an object, as filters take attributes; at every part that is missing the fallback,
  // if any, takes its place.
  template_value attribute_path(jinja_position at, const template_value& object,
                                const template_value& path,
                                const template_value* fallback = nullptr);
  template_value call(const template_value& callee, const jinja_call& arguments);
  template_value binary(jinja_position at, std::string_view sign, const template_value& left,
                        const template_value& right);
  template_value negate(jinja_position at, const template_value& value);

  template_value filter(std::string_view name, const template_value& subject,
                        const jinja_call& arguments);
  bool test(std::string_view name, const template_value& subject, const jinja_call& arguments);

  // All namespaces of this evaluation: cleared at its end, so that no cycle keeps them alive.
  void clear_namespaces();

protected:
  std::string_view file_name_;
  jinja_limits limits_;

private:
  template_value method(jinja_position at, const template_value& object, std::string_view name);
  template_value loop_attribute(const jinja_loop& loop, std::string_view name);
  template_value arithmetic(jinja_position at, std::string_view sign, const template_value& left,
                            const template_value& right);
  template_value integer_arithmetic(jinja_position at, std::string_view sign, int64_t left,
                                    int64_t right);
  template_value repeat(jinja_position at, const template_value& value, int64_t count);

  status failure_;
  uint64_t steps_left_;
  uint64_t bytes_left_;
  std::vector<std::shared_ptr<jinja_namespace>> namespaces_;
};

using jinja_filter = template_value (*)(jinja_runtime&, const template_value& subject,
                                        const jinja_call&);
using jinja_test = bool (*)(jinja_runtime&, const template_value& subject, const jinja_call&);
using jinja_method = template_value (*)(jinja_runtime&, const template_value& object,
                                        const jinja_call&);

// Null when there is none of the name.
jinja_filter find_jinja_filter(std::string_view name);
jinja_test find_jinja_test(std::string_view name);
jinja_method find_jinja_method(const template_value& object, std::string_view name);
// str.replace with Python's count (negative: all).
template_value replace_in_text(jinja_runtime& runtime, jinja_position at, std::string_view subject,
                               std::string_view what, std::string_view with, int64_t count);

} // namespace troupe::model
