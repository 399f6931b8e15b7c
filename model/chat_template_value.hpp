// The values a chat template works on: what JSON can hold, and what templates make of it.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::model {

class template_value;
struct jinja_callable;  // a macro or a bound method
struct jinja_loop;      // the variable `loop`
struct jinja_namespace; // an object whose members a template may set

// Cheap to copy: containers are shared and never change once they are a value.
class template_value {
public:
  struct undefined_value {
    std::string name; // what was looked for, for messages
  };
  struct list_value;
  struct dict_value;

  template_value() : state_(undefined_value{}) {}
  template_value(std::nullptr_t) : state_(nullptr) {}
  template_value(bool value) : state_(value) {}
  template_value(int value) : state_(int64_t{value}) {}
  template_value(int64_t value) : state_(value) {}
  template_value(double value) : state_(value) {}
  template_value(const char* value) : state_(std::make_shared<const std::string>(value)) {}
  template_value(std::string value)
      : state_(std::make_shared<const std::string>(std::move(value))) {}
  template_value(std::string_view value) : template_value(std::string(value)) {}

  using items = std::vector<template_value>;
  using entries = std::vector<std::pair<template_value, template_value>>;
  static template_value undefined(std::string name) {
    return {state(undefined_value{std::move(name)})};
  }
  static template_value list(items elements);
  static template_value tuple(items elements);
  // A key met again replaces the value and keeps its place.
  static template_value dict(entries members);
  static template_value callable(std::shared_ptr<const jinja_callable> what) {
    return {state(std::move(what))};
  }
  static template_value loop(std::shared_ptr<jinja_loop> what) { return {state(std::move(what))}; }
  static template_value name_space(std::shared_ptr<jinja_namespace> what) {
    return {state(std::move(what))};
  }

  bool is_undefined() const { return std::holds_alternative<undefined_value>(state_); }
  bool is_none() const { return std::holds_alternative<std::nullptr_t>(state_); }
  bool is_bool() const { return std::holds_alternative<bool>(state_); }
  bool is_int() const { return std::holds_alternative<int64_t>(state_); }
  bool is_float() const { return std::holds_alternative<double>(state_); }
  bool is_number() const { return is_bool() || is_int() || is_float(); }
  bool is_string() const { return std::holds_alternative<string_pointer>(state_); }
  bool is_list() const { return std::holds_alternative<list_pointer>(state_); } // tuples too
  bool is_tuple() const;
  bool is_dict() const { return std::holds_alternative<dict_pointer>(state_); }
  bool is_callable() const { return std::holds_alternative<callable_pointer>(state_); }
  bool is_loop() const { return std::holds_alternative<loop_pointer>(state_); }
  bool is_namespace() const { return std::holds_alternative<namespace_pointer>(state_); }

  // Each demands the kind.
  const std::string& undefined_name() const { return std::get<undefined_value>(state_).name; }
  bool boolean() const { return std::get<bool>(state_); }
  int64_t integer() const { return is_bool() ? int64_t{boolean()} : std::get<int64_t>(state_); }
  double number() const {
    return is_float() ? std::get<double>(state_) : static_cast<double>(integer());
  }
  const std::string& string() const { return *std::get<string_pointer>(state_); }
  const items& elements() const;
  const entries& members() const;
  const jinja_callable& callable() const { return *std::get<callable_pointer>(state_); }
  jinja_loop& loop() const { return *std::get<loop_pointer>(state_); }
  jinja_namespace& name_space() const { return *std::get<namespace_pointer>(state_); }

  // The member with the key, or null. This must be a dict.
  const template_value* find(std::string_view key) const;
  const template_value* find(const char* key) const { return find(std::string_view(key)); }
  const template_value* find(const template_value& key) const;

  // How deep containers are nested: 0 for a scalar. Bounded by whoever builds containers.
  size_t depth() const;

private:
  using string_pointer = std::shared_ptr<const std::string>;
  using list_pointer = std::shared_ptr<const list_value>;
  using dict_pointer = std::shared_ptr<const dict_value>;
  using callable_pointer = std::shared_ptr<const jinja_callable>;
  using loop_pointer = std::shared_ptr<jinja_loop>;
  using namespace_pointer = std::shared_ptr<jinja_namespace>;
  // The pointers are shared by all copies of a value; strings, lists and dicts never change.
  using state =
      std::variant<undefined_value, std::nullptr_t, bool, int64_t, double, string_pointer,
                   list_pointer, dict_pointer, callable_pointer, loop_pointer, namespace_pointer>;
  template_value(state what) : state_(std::move(what)) {}

  state state_;
};

struct template_value::list_value {
  items elements;
  bool is_tuple = false;
  size_t depth = 1;
};

struct template_value::dict_value {
  entries members;
  std::unordered_map<std::string_view, size_t> by_name; // string keys only; they live in `members`
  size_t depth = 1;
};

// Reads JSON and keeps the order of members, which templates show. The name is for messages.
result<template_value> parse_template_value(std::string_view json, std::string_view name);

// Python's ==, in which True is 1 and 1 is 1.0. Each value looked at takes a step; false when they
// are used up.
bool values_equal(const template_value& a, const template_value& b, uint64_t& steps_left);

} // namespace troupe::model
