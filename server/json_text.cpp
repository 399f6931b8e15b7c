// The only place where the JSON library may throw, and where that ends.
#include "server/json_text.hpp"

#include "base/text.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace troupe::server {
namespace {

constexpr auto replace = nlohmann::json::error_handler_t::replace;

api_error not_json(std::string message) {
  api_error error;
  error.message = std::move(message);
  error.code = "invalid_json";
  return error;
}

// Finds what exceeds the limits before anything is built.
class shape_scan {
public:
  explicit shape_scan(const json_limits& limits) : limits_(limits) {}

  std::optional<api_error> operator()(std::string_view body) {
    bool in_string = false;
    for (size_t i = 0; i < body.size(); ++i) {
      const char c = body[i];
      if (in_string) {
        if (c == '\\') ++i;
        if (c == '"') in_string = false;
      } else if (c == '"') {
        in_string = true;
      } else if (!step(c)) {
        return not_json(text("the request body ", problem_, ", at byte ", i + 1));
      }
    }
    return std::nullopt;
  }

private:
  bool step(char c) {
    if (c == '{' || c == '[') {
      if (members_.size() == limits_.depth_max) {
        problem_ = text("is nested deeper than ", limits_.depth_max, " levels");
        return false;
      }
      members_.push_back(c == '{' ? 1 : uncounted);
    } else if ((c == '}' || c == ']') && !members_.empty()) {
      members_.pop_back();
    } else if (c == ',' && !members_.empty() && members_.back() != uncounted) {
      if (++members_.back() > limits_.members_max) {
        problem_ = text("has an object of more than ", limits_.members_max, " members");
        return false;
      }
    }
    return true;
  }

  static constexpr size_t uncounted = SIZE_MAX; // an array
  const json_limits& limits_;
  std::vector<size_t> members_; // of each open object
  std::string problem_;
};

// The library's own sentence without its "[json.exception…]" prefix.
std::string_view reason_of(std::string_view what) {
  const size_t end = what.find("] ");
  return end == std::string_view::npos ? what : what.substr(end + 2);
}

} // namespace

std::string dump(const json_value& value) {
  return value.dump(-1, ' ', false, replace);
}

api_result<json_value> parse_object(std::string_view body, const json_limits& limits) {
  if (body.empty()) return refuse(not_json("the request body is empty; a JSON object is expected"));
  if (auto error = shape_scan(limits)(body)) return refuse(std::move(*error));
  json_value value;
  try {
    value = json_value::parse(body);
  } catch (const json_value::parse_error& error) {
    return refuse(not_json(text("the request body is not valid JSON, at byte ", error.byte, ": ",
                                reason_of(error.what()))));
  } catch (const json_value::exception& error) { // a number beyond what a double holds
    return refuse(not_json(text("the request body is not usable JSON: ", reason_of(error.what()))));
  }
  if (!value.is_object()) {
    return refuse(not_json(text("the request body must be a JSON object, got ", shown(value))));
  }
  return value;
}

std::string shown(const json_value& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  if (value.is_array()) return text("an array of ", value.size());
  if (value.is_object()) return "an object";
  return dump(value);
}

} // namespace troupe::server
