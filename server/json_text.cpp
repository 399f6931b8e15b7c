// The only place where the JSON library may throw, and where that ends.
#include "server/json_text.hpp"

#include "base/text.hpp"

#include <optional>

namespace troupe::server {
namespace {

constexpr auto replace = nlohmann::json::error_handler_t::replace;

api_error not_json(std::string message) {
  api_error error;
  error.message = std::move(message);
  error.code = "invalid_json";
  return error;
}

// Where nesting exceeds depth_max, found before anything is built.
std::optional<size_t> too_deep_at(std::string_view body, size_t depth_max) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > depth_max) return i;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return std::nullopt;
}

// The library's own sentence without its "[json.exception…]" prefix.
std::string_view reason_of(std::string_view what) {
  const size_t end = what.find("] ");
  return end == std::string_view::npos ? what : what.substr(end + 2);
}

} // namespace

std::string dump(const json_out& value) {
  return value.dump(-1, ' ', false, replace);
}
std::string dump(const json_in& value) {
  return value.dump(-1, ' ', false, replace);
}

api_result<json_in> parse_object(std::string_view body, size_t depth_max) {
  if (body.empty()) return refuse(not_json("the request body is empty; a JSON object is expected"));
  if (auto at = too_deep_at(body, depth_max)) {
    return refuse(not_json(
        text("the request body is nested deeper than ", depth_max, " levels, at byte ", *at + 1)));
  }
  json_in value;
  try {
    value = json_in::parse(body);
  } catch (const json_in::parse_error& error) {
    return refuse(not_json(text("the request body is not valid JSON, at byte ", error.byte, ": ",
                                reason_of(error.what()))));
  } catch (const json_in::exception& error) { // a number beyond what a double holds
    return refuse(not_json(text("the request body is not usable JSON: ", reason_of(error.what()))));
  }
  if (!value.is_object()) {
    return refuse(not_json(text("the request body must be a JSON object, got ", shown(value))));
  }
  return value;
}

std::string shown(const json_in& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  if (value.is_array()) return text("an array of ", value.size());
  if (value.is_object()) return "an object";
  return dump(value);
}

} // namespace troupe::server
