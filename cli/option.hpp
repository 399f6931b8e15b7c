// One setting of the program with its type erased: what flags, environment, configuration file,
// help and --dump-config need to know of it. Made from the fields that an options struct lists
// once.
#pragma once

#include "base/text.hpp"
#include "cli/option_value.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

// What an options struct says about a member in for_each_field.
struct field {
  std::string_view name;       // as the flag is called: "max-model-len"
  std::string_view value = ""; // what stands for the value in help: "TOKENS"; empty for a switch
  std::string_view help = "";  // ends without a full stop; required
  value_range range = {};
  std::string_view choices = ""; // "none|bf16|f16": nothing else is allowed
  std::string_view aliases = ""; // further flags, comma separated: "-m,--model-dir"
  std::string_view unset =
      "";                  // how help describes the default, where "0" or nothing says too little
  bool secret = false;     // its value is shown nowhere
  bool positional = false; // an argument and not a flag; only on the command line
};

struct option {
  std::string name, value, help, range, choices, aliases, unset;
  bool secret = false;
  bool positional = false;
  bool is_switch = false;
  bool is_list = false;
  std::string
      origin; // who set it: empty for the default, else "command line", "environment", "file:1:2"
  // Replaces the value. On failure the status says what is wrong with `bad`, one of the texts.
  std::function<status(const std::vector<std::string>& texts, std::string& bad)> assign;
  std::function<std::string()> show; // the value as TOML; empty when it is unset
};

// The name of the environment variable: TROUPE_MAX_MODEL_LEN.
std::string environment_name(std::string_view option_name);

namespace option_parts {

option make_option(const field& from);
status check_choice(std::string_view value, std::string_view choices);

template <class Value>
status parse_one(const std::string& from, const field& limits, Value& out) {
  Value value{};
  TROUPE_RETURN_IF_ERROR(parse_value(from, value));
  if (const auto size = magnitude(value)) TROUPE_RETURN_IF_ERROR(check_range(*size, limits.range));
  TROUPE_RETURN_IF_ERROR(check_choice(from, limits.choices));
  out = std::move(value);
  return {};
}

template <class Value>
status assign_to(const std::vector<std::string>& texts, const field& limits, std::string& bad,
                 Value& member) {
  bad = texts.back(); // the last one counts
  return parse_one(bad, limits, member);
}

template <class Value>
status assign_to(const std::vector<std::string>& texts, const field& limits, std::string& bad,
                 std::optional<Value>& member) {
  Value value{};
  TROUPE_RETURN_IF_ERROR(assign_to(texts, limits, bad, value));
  member = std::move(value);
  return {};
}

template <class Value>
status assign_to(const std::vector<std::string>& texts, const field& limits, std::string& bad,
                 std::vector<Value>& member) {
  std::vector<Value> values;
  for (const auto& text : texts) {
    bad = text;
    Value value{};
    TROUPE_RETURN_IF_ERROR(parse_one(text, limits, value));
    values.push_back(std::move(value));
  }
  member = std::move(values);
  return {};
}

template <class Value>
std::string show_member(const Value& member) {
  return show_value(member);
}
template <class Value>
std::string show_member(const std::optional<Value>& member) {
  return member ? show_value(*member) : "";
}
template <class Value>
std::string show_member(const std::vector<Value>& member) {
  std::string out = "[";
  for (const auto& value : member) out += text(out.size() > 1 ? ", " : "", show_value(value));
  return out + "]";
}

template <class Value>
struct is_vector : std::false_type {};
template <class Value>
struct is_vector<std::vector<Value>> : std::true_type {};

} // namespace option_parts

// The options of a settings struct, in the order of its fields. `settings` must outlive them.
template <class Settings>
std::vector<option> options_of(Settings& settings) {
  std::vector<option> out;
  settings.for_each_field([&out]<class Value>(const field& from, Value& member) {
    option made = option_parts::make_option(from);
    made.is_switch = std::is_same_v<Value, bool>;
    made.is_list = option_parts::is_vector<Value>::value;
    made.assign = [from, &member](const std::vector<std::string>& texts, std::string& bad) {
      return option_parts::assign_to(texts, from, bad, member);
    };
    made.show = [&member] { return option_parts::show_member(member); };
    out.push_back(std::move(made));
  });
  return out;
}

} // namespace troupe::cli
