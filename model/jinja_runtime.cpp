// What the evaluation of a chat template stands on: bounds, failures, attributes, calls, operators.
#include "model/jinja_runtime.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace troupe::model {
namespace {

constexpr size_t value_depth_max = 200;

// What it costs to look through a value once, beside the step of looking at all.
uint64_t walk_steps(const template_value& value) {
  if (value.is_string()) return value.string().size() / 32 + 1;
  if (value.is_list()) return value.elements().size() / 4 + 1;
  if (value.is_dict()) return value.members().size() / 4 + 1;
  return 1;
}

bool is_index(std::string_view part) {
  return !part.empty() && part.size() < 10 &&
         part.find_first_not_of("0123456789") == std::string_view::npos;
}

} // namespace

const template_value* jinja_call::find(size_t index, std::string_view name) const {
  if (index < positional.size()) return &positional[index];
  for (const auto& [known, value] : named) {
    if (known == name) return &value;
  }
  return nullptr;
}

template_value jinja_call::get(size_t index, std::string_view name, template_value fallback) const {
  const template_value* found = find(index, name);
  return found == nullptr ? std::move(fallback) : *found;
}

template_value jinja_runtime::fails(jinja_position at, std::string_view why, status_code code) {
  if (!failed()) failure_ = jinja_failure(file_name_, at, why, code);
  return {};
}

template_value jinja_runtime::fails_undefined(jinja_position at, const template_value& value) {
  const std::string& name = value.undefined_name();
  return fails(
      at, name.empty() ? std::string("the value is undefined") : text("'", name, "' is undefined"));
}

bool jinja_runtime::take_steps(jinja_position at, uint64_t count) {
  if (failed()) return false;
  if (count > steps_left_) {
    fails(at, text("the template takes more than ", limits_.steps_max, " steps"),
          status_code::exhausted);
    return false;
  }
  steps_left_ -= count;
  return true;
}

bool jinja_runtime::take_bytes(jinja_position at, uint64_t count) {
  if (failed()) return false;
  if (count > bytes_left_) {
    fails(at, text("the template makes more than ", limits_.bytes_max, " bytes of text"),
          status_code::exhausted);
    return false;
  }
  bytes_left_ -= count;
  return true;
}

template_value jinja_runtime::make_string(jinja_position at, std::string what) {
  if (!take_bytes(at, what.size())) return {};
  return what;
}

template_value jinja_runtime::make_list(jinja_position at, template_value::items elements,
                                        bool is_tuple) {
  if (!take_steps(at, elements.size()) || !take_bytes(at, elements.size() * sizeof(template_value)))
    return {};
  auto made = is_tuple ? template_value::tuple(std::move(elements))
                       : template_value::list(std::move(elements));
  if (made.depth() > value_depth_max)
    return fails(at, "lists nested too deeply", status_code::exhausted);
  return made;
}

template_value jinja_runtime::make_dict(jinja_position at, template_value::entries members) {
  if (!take_steps(at, members.size()) ||
      !take_bytes(at, members.size() * 2 * sizeof(template_value)))
    return {};
  for (const auto& [key, value] : members) {
    if (key.is_list() || key.is_dict())
      return fails(at, text("unhashable type: '", python_type(key), "'"));
  }
  auto made = template_value::dict(std::move(members));
  if (made.depth() > value_depth_max)
    return fails(at, "dicts nested too deeply", status_code::exhausted);
  return made;
}

template_value jinja_runtime::make_namespace(jinja_position at, template_value::entries members) {
  if (!take_bytes(at, sizeof(jinja_namespace))) return {};
  auto made = std::make_shared<jinja_namespace>();
  for (auto& [key, value] : members) {
    if (key.is_string()) made->members[key.string()] = std::move(value);
  }
  namespaces_.push_back(made);
  return template_value::name_space(std::move(made));
}

template_value jinja_runtime::make_callable(
    std::string name, std::function<template_value(jinja_runtime&, const jinja_call&)> run) {
  return template_value::callable(
      std::make_shared<const jinja_callable>(jinja_callable{std::move(name), std::move(run)}));
}

void jinja_runtime::clear_namespaces() {
  for (const auto& space : namespaces_) space->members.clear();
  namespaces_.clear();
}

std::string jinja_runtime::to_text(jinja_position at, const template_value& value) {
  if (failed()) return {};
  bounded_text out(bytes_left_);
  append_str(out, value);
  if (out.overflowed()) {
    take_bytes(at, bytes_left_ + 1);
    return {};
  }
  take_bytes(at, out.text().size());
  return out.take();
}

bool jinja_runtime::equal(jinja_position at, const template_value& a, const template_value& b) {
  if (failed()) return false;
  const bool same = values_equal(a, b, steps_left_);
  if (steps_left_ == 0) take_steps(at, 1);
  return same;
}

bool jinja_runtime::contains(jinja_position at, const template_value& container,
                             const template_value& element) {
  if (container.is_string()) {
    if (!take_steps(at, walk_steps(container))) return false;
    if (element.is_string()) return container.string().find(element.string()) != std::string::npos;
    if (element.is_undefined()) {
      fails_undefined(at, element);
    } else {
      fails(at, text("'in <string>' requires string as left operand, not ", python_type(element)));
    }
    return false;
  }
  if (container.is_dict()) return container.find(element) != nullptr;
  if (container.is_list()) {
    const auto& all = container.elements();
    return std::any_of(all.begin(), all.end(),
                       [&](const auto& one) { return equal(at, one, element); });
  }
  if (!container.is_undefined()) {
    fails(at, text("argument of type '", python_type(container), "' is not iterable"));
  }
  return false;
}

template_value::items jinja_runtime::iterate(jinja_position at, const template_value& value) {
  template_value::items out;
  if (value.is_list()) {
    out = value.elements();
  } else if (value.is_dict()) {
    for (const auto& member : value.members()) out.push_back(member.first);
  } else if (value.is_string()) {
    for (const auto letter : split_code_points(value.string())) out.emplace_back(letter);
  } else if (!value.is_undefined()) {
    fails(at, text("'", python_type(value), "' object is not iterable"));
  }
  take_steps(at, out.size());
  return out;
}

std::optional<int64_t> jinja_runtime::length(const template_value& value) const {
  if (value.is_string()) return static_cast<int64_t>(count_code_points(value.string()));
  if (value.is_list()) return static_cast<int64_t>(value.elements().size());
  if (value.is_dict()) return static_cast<int64_t>(value.members().size());
  if (value.is_undefined()) return 0;
  return std::nullopt;
}

template_value jinja_runtime::method(jinja_position, const template_value& object,
                                     std::string_view name) {
  const jinja_method found = find_jinja_method(object, name);
  if (found == nullptr) return template_value::undefined(std::string(name));
  return make_callable(std::string(name),
                       [found, object](jinja_runtime& runtime, const jinja_call& call) {
                         if (!runtime.take_steps(call.at, walk_steps(object)))
                           return template_value();
                         return found(runtime, object, call);
                       });
}

template_value jinja_runtime::loop_attribute(const jinja_loop& loop, std::string_view name) {
  const auto count = static_cast<int64_t>(loop.elements.size());
  const auto index = static_cast<int64_t>(loop.index);
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return count - index;
  if (name == "revindex0") return count - index - 1;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 == count;
  if (name == "length") return count;
  if (name == "depth") return static_cast<int64_t>(loop.depth);
  if (name == "depth0") return static_cast<int64_t>(loop.depth) - 1;
  if (name == "previtem" && index > 0) return loop.elements[loop.index - 1];
  if (name == "nextitem" && index + 1 < count) return loop.elements[loop.index + 1];
  if (name == "cycle") {
    return make_callable(
        "cycle", [index](jinja_runtime& runtime, const jinja_call& call) -> template_value {
          if (call.positional.empty())
            return runtime.fails(call.at, "cycle() needs at least one value");
          return call.positional[static_cast<size_t>(index) % call.positional.size()];
        });
  }
  return template_value::undefined(std::string(name));
}

template_value jinja_runtime::attribute(jinja_position at, const template_value& object,
                                        std::string_view name) {
  if (failed()) return {};
  if (object.is_undefined()) return fails_undefined(at, object);
  if (object.is_loop()) return loop_attribute(object.loop(), name);
  if (object.is_namespace()) {
    const auto found = object.name_space().members.find(std::string(name));
    return found == object.name_space().members.end() ? template_value::undefined(std::string(name))
                                                      : found->second;
  }
  if (object.is_dict() && find_jinja_method(object, name) == nullptr) {
    const template_value* found = object.find(name);
    return found == nullptr ? template_value::undefined(std::string(name)) : *found;
  }
  return method(at, object, name);
}

template_value jinja_runtime::item(jinja_position at, const template_value& object,
                                   const template_value& key) {
  if (failed()) return {};
  if (object.is_undefined()) return fails_undefined(at, object);
  if (object.is_dict()) {
    if (const template_value* found = object.find(key)) return *found;
  } else if ((object.is_list() || object.is_string()) && (key.is_int() || key.is_bool())) {
    if (object.is_string() && !take_steps(at, walk_steps(object))) return {};
    const int64_t count = *length(object);
    const int64_t index = key.integer() < 0 ? key.integer() + count : key.integer();
    if (index >= 0 && index < count) {
      if (object.is_list()) return object.elements()[static_cast<size_t>(index)];
      return split_code_points(object.string())[static_cast<size_t>(index)];
    }
  }
  if (!key.is_string()) return template_value::undefined(to_text(at, key));
  if (object.is_dict()) return method(at, object, key.string());
  return attribute(at, object, key.string());
}

template_value jinja_runtime::slice(jinja_position at, const template_value& object,
                                    const template_value (&parts)[3]) {
  if (failed()) return {};
  if (object.is_undefined()) return fails_undefined(at, object);
  if (!object.is_list() && !object.is_string()) return template_value::undefined("slice");
  for (const auto& part : parts) {
    if (!part.is_none() && !part.is_int() && !part.is_bool()) {
      return fails(at, "slice indices must be integers or None");
    }
  }
  if (object.is_string() && !take_steps(at, walk_steps(object))) return {};
  const int64_t count = *length(object);
  const int64_t step = parts[2].is_none() ? 1 : parts[2].integer();
  if (step == 0) return fails(at, "slice step cannot be zero");
  const int64_t least = step > 0 ? 0 : -1;
  const int64_t most = step > 0 ? count : count - 1;
  const auto bound = [&](const template_value& part, int64_t fallback) {
    if (part.is_none()) return fallback;
    const int64_t given = part.integer();
    return std::clamp(given < 0 ? std::max(given, -count - 1) + count : given, least, most);
  };
  const int64_t begin = bound(parts[0], step > 0 ? least : most);
  const int64_t end = bound(parts[1], step > 0 ? most : least);
  std::vector<size_t> indices;
  const int64_t stride = std::clamp(step, -count - 1, count + 1); // no overflow, same picks
  for (int64_t i = begin; step > 0 ? i < end : i > end; i += stride)
    indices.push_back(static_cast<size_t>(i));
  if (object.is_string()) {
    const auto letters = split_code_points(object.string());
    std::string out;
    for (const size_t i : indices) out += letters[i];
    return make_string(at, std::move(out));
  }
  template_value::items out;
  for (const size_t i : indices) out.push_back(object.elements()[i]);
  return make_list(at, std::move(out), object.is_tuple());
}

template_value jinja_runtime::attribute_path(jinja_position at, const template_value& object,
                                             const template_value& path,
                                             const template_value* fallback) {
  const auto or_fallback = [fallback](template_value found) {
    return found.is_undefined() && fallback != nullptr && !fallback->is_none() ? *fallback : found;
  };
  if (!path.is_string()) return or_fallback(item(at, object, path));
  template_value found = object;
  std::string_view rest = path.string();
  while (!failed()) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    int64_t index = 0;
    if (is_index(part)) {
      std::from_chars(part.data(), part.data() + part.size(), index);
      found = or_fallback(item(at, found, index));
    } else {
      found = or_fallback(item(at, found, part));
    }
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  return found;
}

template_value jinja_runtime::call(const template_value& callee, const jinja_call& arguments) {
  if (!take_steps(arguments.at, 1)) return {};
  if (callee.is_undefined()) return fails_undefined(arguments.at, callee);
  if (!callee.is_callable()) {
    return fails(arguments.at, text("'", python_type(callee), "' object is not callable"));
  }
  return callee.callable().run(*this, arguments);
}

template_value jinja_runtime::filter(std::string_view name, const template_value& subject,
                                     const jinja_call& arguments) {
  if (!take_steps(arguments.at, walk_steps(subject))) return {};
  const jinja_filter found = find_jinja_filter(name);
  if (found == nullptr) {
    return fails(arguments.at, text("the filter '", name, "' is not supported"),
                 status_code::unsupported);
  }
  return found(*this, subject, arguments);
}

bool jinja_runtime::test(std::string_view name, const template_value& subject,
                         const jinja_call& arguments) {
  if (!take_steps(arguments.at, walk_steps(subject))) return false;
  const jinja_test found = find_jinja_test(name);
  if (found == nullptr) {
    fails(arguments.at, text("the test '", name, "' is not supported"), status_code::unsupported);
    return false;
  }
  return found(*this, subject, arguments);
}

template_value jinja_runtime::negate(jinja_position at, const template_value& value) {
  if (value.is_undefined()) return fails_undefined(at, value);
  if (value.is_float()) return -value.number();
  if (!value.is_number())
    return fails(at, text("bad operand type for unary -: '", python_type(value), "'"));
  if (value.integer() == INT64_MIN) return fails(at, "the number is too large");
  return -value.integer();
}

template_value jinja_runtime::binary(jinja_position at, std::string_view sign,
                                     const template_value& left, const template_value& right) {
  if (failed()) return {};
  if (sign == "~") {
    std::string joined = to_text(at, left);
    joined += to_text(at, right);
    return make_string(at, std::move(joined));
  }
  if (left.is_undefined()) return fails_undefined(at, left);
  if (right.is_undefined()) return fails_undefined(at, right);
  if (left.is_number() && right.is_number()) return arithmetic(at, sign, left, right);
  if (sign == "+" && left.is_string() && right.is_string()) {
    return make_string(at, left.string() + right.string());
  }
  if (sign == "+" && left.is_list() && right.is_list() && left.is_tuple() == right.is_tuple()) {
    template_value::items joined = left.elements();
    joined.insert(joined.end(), right.elements().begin(), right.elements().end());
    return make_list(at, std::move(joined), left.is_tuple());
  }
  const auto is_count = [](const template_value& value) {
    return value.is_int() || value.is_bool();
  };
  if (sign == "*" && is_count(right)) return repeat(at, left, right.integer());
  if (sign == "*" && is_count(left)) return repeat(at, right, left.integer());
  if (sign == "%" && left.is_string()) {
    return fails(at, "formatting with '%' is not supported", status_code::unsupported);
  }
  return fails(at, text("unsupported operand types for ", sign, ": '", python_type(left), "' and '",
                        python_type(right), "'"));
}

template_value jinja_runtime::repeat(jinja_position at, const template_value& value,
                                     int64_t count) {
  const auto times = static_cast<uint64_t>(std::max<int64_t>(count, 0));
  if (value.is_string()) {
    const std::string& part = value.string();
    if (times > 0 && part.size() > limits_.bytes_max / times) {
      take_bytes(at, limits_.bytes_max + 1);
      return {};
    }
    if (!take_bytes(at, part.size() * times)) return {};
    std::string out;
    for (uint64_t i = 0; i < times && !part.empty(); ++i) out += part;
    return out;
  }
  if (value.is_list()) {
    const auto& part = value.elements();
    if (times > 0 && part.size() > limits_.steps_max / times) {
      take_steps(at, limits_.steps_max + 1);
      return {};
    }
    if (!take_steps(at, part.size() * times)) return {};
    template_value::items out;
    for (uint64_t i = 0; i < times && !part.empty(); ++i)
      out.insert(out.end(), part.begin(), part.end());
    return make_list(at, std::move(out), value.is_tuple());
  }
  return fails(at, text("can't multiply a '", python_type(value), "'"));
}

template_value jinja_runtime::arithmetic(jinja_position at, std::string_view sign,
                                         const template_value& left, const template_value& right) {
  const double a = left.number();
  const double b = right.number();
  const bool divides = sign == "/" || sign == "//" || sign == "%";
  if (divides && b == 0) return fails(at, "division by zero");
  if (sign == "/") return a / b;
  if (!left.is_float() && !right.is_float() && !(sign == "**" && right.integer() < 0)) {
    return integer_arithmetic(at, sign, left.integer(), right.integer());
  }
  if (sign == "+") return a + b;
  if (sign == "-") return a - b;
  if (sign == "*") return a * b;
  if (sign == "//") return std::floor(a / b);
  if (sign == "**") return std::pow(a, b);
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

template_value jinja_runtime::integer_arithmetic(jinja_position at, std::string_view sign,
                                                 int64_t left, int64_t right) {
  int64_t out = 0;
  bool overflows = false;
  if (sign == "+") {
    overflows = __builtin_add_overflow(left, right, &out);
  } else if (sign == "-") {
    overflows = __builtin_sub_overflow(left, right, &out);
  } else if (sign == "*") {
    overflows = __builtin_mul_overflow(left, right, &out);
  } else if (sign == "**") {
    out = 1;
    if (left == 0 || left == 1) right = std::min<int64_t>(right, 1);
    if (left == -1) right = right % 2;
    for (int64_t i = 0; i < right && !overflows; ++i)
      overflows = __builtin_mul_overflow(out, left, &out);
  } else if (left == INT64_MIN && right == -1) {
    overflows = sign == "//";
  } else {
    const int64_t rest = left % right;
    const bool rounds_down = rest != 0 && (rest < 0) != (right < 0);
    out = sign == "//" ? left / right - (rounds_down ? 1 : 0) : rest + (rounds_down ? right : 0);
  }
  if (overflows) return fails(at, "the number is too large");
  return out;
}

} // namespace troupe::model
