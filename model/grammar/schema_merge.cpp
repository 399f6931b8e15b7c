// Keyword by keyword; members that both schemas describe become an allOf of their own.
#include "model/grammar/schema_merge.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

namespace troupe::model {
namespace {

using json = nlohmann::ordered_json;

bool has(const json& list, const json& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

json as_list(const json& value) {
  return value.is_array() ? value : json::array({value});
}

json both(const json& a, const json& b) {
  if (a == b) return a;
  return json{{"allOf", json::array({a, b})}};
}

// An integer is a number.
json common_types(const json& a, const json& b) {
  json out = json::array();
  for (const json& type : as_list(a)) {
    if (has(as_list(b), type) || (type == "integer" && has(as_list(b), "number")))
      out.push_back(type);
    else if (type == "number" && has(as_list(b), "integer"))
      out.push_back("integer");
  }
  return out;
}

json common_values(const json& a, const json& b) {
  json out = json::array();
  for (const json& value : a)
    if (has(b, value)) out.push_back(value);
  return out;
}

// One of two bounds of the same kind.
std::optional<json> tighter(const std::string& keyword, const json& a, const json& b) {
  static constexpr std::array lower = {"minimum", "exclusiveMinimum", "minLength", "minItems",
                                       "minProperties"};
  static constexpr std::array upper = {"maximum", "exclusiveMaximum", "maxLength", "maxItems",
                                       "maxProperties"};
  if (!a.is_number() || !b.is_number()) return std::nullopt;
  if (std::find(lower.begin(), lower.end(), keyword) != lower.end()) return std::max(a, b);
  if (std::find(upper.begin(), upper.end(), keyword) != upper.end()) return std::min(a, b);
  return std::nullopt;
}

std::optional<json> merged_value(const std::string& keyword, const json& a, const json& b) {
  if (a == b) return a;
  if (keyword == "type") return common_types(a, b);
  if (keyword == "enum" && a.is_array() && b.is_array()) return common_values(a, b);
  if (keyword == "items" || keyword == "additionalProperties" || keyword == "propertyNames")
    return both(a, b);
  if (keyword == "required" && a.is_array() && b.is_array()) {
    json out = a;
    for (const json& name : b)
      if (!has(out, name)) out.push_back(name);
    return out;
  }
  if (keyword == "properties" && a.is_object() && b.is_object()) {
    json out = a;
    for (const auto& [name, schema] : b.items())
      out[name] = out.contains(name) ? both(out[name], schema) : schema;
    return out;
  }
  if (keyword == "allOf" && a.is_array() && b.is_array()) {
    json out = a;
    for (const json& each : b) out.push_back(each);
    return out;
  }
  return tighter(keyword, a, b);
}

// What one schema says of members that it does not name binds those that only the other names.
status check_additional(const json& closed, const json& other) {
  const auto additional = closed.find("additionalProperties");
  const auto properties = other.find("properties");
  if (additional == closed.end() || *additional == true || properties == other.end() ||
      !properties->is_object())
    return {};
  const auto own = closed.find("properties");
  for (const auto& [name, schema] : properties->items())
    if (own == closed.end() || !own->contains(name))
      return {status_code::unsupported,
              text("additionalProperties of one part and the property '", name, "' of another")};
  return {};
}

} // namespace

result<json> merge_schemas(const json& a, const json& b) {
  if (a.is_boolean()) return a == true ? b : a;
  if (b.is_boolean()) return b == true ? a : b;
  if (!a.is_object() || !b.is_object())
    return fail(status_code::unsupported, "something that is no schema");
  for (const auto& [closed, other] : {std::pair(&a, &b), std::pair(&b, &a)})
    if (status s = check_additional(*closed, *other); !s.ok()) return fail(std::move(s));
  json out = a;
  for (const auto& [keyword, value] : b.items()) {
    const auto known = out.find(keyword);
    if (known == out.end()) {
      out[keyword] = value;
      continue;
    }
    if (is_annotation(keyword)) continue;
    auto merged = merged_value(keyword, *known, value);
    if (!merged) return fail(status_code::unsupported, text("different values of '", keyword, "'"));
    *known = std::move(*merged);
  }
  return out;
}

bool is_annotation(std::string_view keyword) {
  static constexpr std::array names = {
      "title",    "description",  "default",         "examples",
      "$comment", "deprecated",   "readOnly",        "writeOnly",
      "$schema",  "$id",          "$defs",           "definitions",
      "example",  "$anchor",      "contentEncoding", "contentMediaType",
      "strict",   "discriminator"};
  return std::find(names.begin(), names.end(), keyword) != names.end() || keyword.starts_with("x-");
}

} // namespace troupe::model
