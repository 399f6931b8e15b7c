// The values a chat template works on, and reading them from JSON in order.
#include "model/chat_template_value.hpp"

#include "base/text.hpp"
#include "model/json_text.hpp"

#include <algorithm>

namespace troupe::model {
namespace {

// Keys of dicts are scalars or small tuples.
constexpr uint64_t key_steps_max = 1000;

// Builds values bottom-up from the events of the JSON parser.
class value_builder : public nlohmann::json_sax<nlohmann::json> {
public:
  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(int64_t value) override { return put(value); }
  bool number_unsigned(uint64_t value) override {
    if (value > INT64_MAX) return put(static_cast<double>(value));
    return put(static_cast<int64_t>(value));
  }
  bool number_float(double value, const std::string&) override { return put(value); }
  bool string(std::string& value) override { return put(std::move(value)); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool key(std::string& name) override {
    levels_.back().members.emplace_back(std::move(name), nullptr);
    levels_.back().is_object = true;
    return true;
  }
  bool end_object() override {
    auto members = std::move(levels_.back().members);
    levels_.pop_back();
    return put(template_value::dict(std::move(members)));
  }
  bool end_array() override {
    auto elements = std::move(levels_.back().elements);
    levels_.pop_back();
    return put(template_value::list(std::move(elements)));
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    error_offset = position > 0 ? position - 1 : 0;
    error_text = error.what();
    return false;
  }

  template_value root;
  size_t error_offset = 0;
  std::string error_text;

private:
  struct level {
    template_value::items elements;
    template_value::entries members;
    bool is_object = false;
  };
  bool open() {
    levels_.emplace_back();
    return true;
  }
  bool put(template_value value) {
    if (levels_.empty()) {
      root = std::move(value);
    } else if (levels_.back().is_object) {
      levels_.back().members.back().second = std::move(value);
    } else {
      levels_.back().elements.push_back(std::move(value));
    }
    return true;
  }
  std::vector<level> levels_;
};

template <class Elements>
size_t depth_of(const Elements& elements) {
  size_t depth = 0;
  for (const auto& element : elements) depth = std::max(depth, element.depth());
  return depth + 1;
}

template_value::list_value make_list(template_value::items elements, bool is_tuple) {
  const size_t depth = depth_of(elements);
  return {std::move(elements), is_tuple, depth};
}

} // namespace

template_value template_value::list(items elements) {
  return {state(std::make_shared<const list_value>(make_list(std::move(elements), false)))};
}

template_value template_value::tuple(items elements) {
  return {state(std::make_shared<const list_value>(make_list(std::move(elements), true)))};
}

template_value template_value::dict(entries members) {
  auto made = std::make_shared<dict_value>();
  made->members.reserve(
      members.size()); // by_name looks into the strings, which stay where they are
  for (auto& [key, value] : members) {
    made->depth = std::max(made->depth, std::max(key.depth(), value.depth()) + 1);
    template_value* known = nullptr;
    if (key.is_string()) {
      const auto found = made->by_name.find(key.string());
      if (found != made->by_name.end()) known = &made->members[found->second].second;
    } else {
      for (auto& member : made->members) {
        uint64_t steps = key_steps_max;
        if (!member.first.is_string() && values_equal(member.first, key, steps))
          known = &member.second;
      }
    }
    if (known != nullptr) {
      *known = std::move(value);
      continue;
    }
    made->members.emplace_back(std::move(key), std::move(value));
    const auto& kept = made->members.back().first;
    if (kept.is_string()) made->by_name.emplace(kept.string(), made->members.size() - 1);
  }
  return {state(dict_pointer(std::move(made)))};
}

bool template_value::is_tuple() const {
  return is_list() && std::get<list_pointer>(state_)->is_tuple;
}

const template_value::items& template_value::elements() const {
  return std::get<list_pointer>(state_)->elements;
}

const template_value::entries& template_value::members() const {
  return std::get<dict_pointer>(state_)->members;
}

const template_value* template_value::find(std::string_view key) const {
  const dict_value& dict = *std::get<dict_pointer>(state_);
  const auto found = dict.by_name.find(key);
  return found == dict.by_name.end() ? nullptr : &dict.members[found->second].second;
}

const template_value* template_value::find(const template_value& key) const {
  if (key.is_string()) return find(std::string_view(key.string()));
  for (const auto& [name, value] : members()) {
    uint64_t steps = key_steps_max;
    if (!name.is_string() && values_equal(name, key, steps)) return &value;
  }
  return nullptr;
}

size_t template_value::depth() const {
  if (is_list()) return std::get<list_pointer>(state_)->depth;
  if (is_dict()) return std::get<dict_pointer>(state_)->depth;
  return 0;
}

result<template_value> parse_template_value(std::string_view json, std::string_view name) {
  if (status deep = check_json_depth(json, name); !deep.ok()) return fail(std::move(deep));
  value_builder builder;
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &builder)) {
    return fail(status_code::corrupt, text(name, ": ", position_text(json, builder.error_offset),
                                           ": not valid JSON: ", builder.error_text));
  }
  return std::move(builder.root);
}

bool values_equal(const template_value& a, const template_value& b, uint64_t& steps_left) {
  if (steps_left == 0) return false;
  --steps_left;
  if (a.is_number() && b.is_number()) {
    return a.is_float() || b.is_float() ? a.number() == b.number() : a.integer() == b.integer();
  }
  if (a.is_string() && b.is_string()) return a.string() == b.string();
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_list() && b.is_list()) {
    return a.is_tuple() == b.is_tuple() &&
           (&a.elements() == &b.elements() ||
            std::equal(a.elements().begin(), a.elements().end(), b.elements().begin(),
                       b.elements().end(), [&steps_left](const auto& x, const auto& y) {
                         return values_equal(x, y, steps_left);
                       }));
  }
  if (a.is_dict() && b.is_dict()) {
    if (&a.members() == &b.members()) return true;
    if (a.members().size() != b.members().size()) return false;
    return std::all_of(a.members().begin(), a.members().end(), [&](const auto& member) {
      const template_value* other = b.find(member.first);
      return other != nullptr && values_equal(member.second, *other, steps_left);
    });
  }
  if (a.is_namespace() && b.is_namespace()) return &a.name_space() == &b.name_space();
  return false;
}

} // namespace troupe::model
