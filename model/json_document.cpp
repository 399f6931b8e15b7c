// The JSON library throws and accepts doubled names; this file is where both end.
#include "model/json_document.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <set>

namespace troupe::model {
namespace {

// Brackets open at the deepest place, found before the parser builds anything.
uint32_t nesting_depth(std::string_view json_text) {
  uint32_t depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < json_text.size(); ++i) {
    const char c = json_text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

} // namespace

result<nlohmann::json> parse_json_object(std::string_view json_text, std::string_view file) {
  using json = nlohmann::json;
  if (const uint32_t depth = nesting_depth(json_text); depth > json_depth_max) {
    return fail(status_code::corrupt,
                text(file, ": JSON is nested ", depth, " levels deep, more than ", json_depth_max));
  }
  std::set<std::string, std::less<>> names;
  std::string doubled;
  const auto watch = [&names, &doubled](int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::key && depth == 1 && doubled.empty()) {
      const auto& name = parsed.get_ref<const std::string&>();
      if (!names.insert(name).second) doubled = name;
    }
    return true;
  };
  try {
    json document = json::parse(json_text.begin(), json_text.end(), watch);
    if (!document.is_object()) {
      return fail(status_code::corrupt,
                  text(file, ": holds ", json_kind(document), " where a JSON object is needed"));
    }
    if (!doubled.empty()) {
      return fail(status_code::corrupt, text(file, ": name '", doubled, "' appears twice"));
    }
    return document;
  } catch (const json::parse_error& error) {
    return fail(status_code::corrupt, text(file, ": JSON syntax error at byte ", error.byte, " of ",
                                           json_text.size(), ": ", error.what()));
  } catch (const json::exception& error) {
    return fail(status_code::corrupt, text(file, ": ", error.what()));
  }
}

std::string_view json_kind(const nlohmann::json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "a boolean";
  if (value.is_number_integer()) return "an integer";
  if (value.is_number()) return "a number";
  if (value.is_string()) return "a string";
  if (value.is_array()) return "a list";
  return "an object";
}

} // namespace troupe::model
