// Reading JSON texts of a model directory; the only place where the JSON library's exceptions end.
#include "model/json_text.hpp"

#include <algorithm>
#include <vector>

namespace troupe::model {
namespace {

const nlohmann::json null_value;

} // namespace

std::string position_text(std::string_view text_in, size_t offset) {
  offset = std::min(offset, text_in.size());
  const auto before = text_in.substr(0, offset);
  const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t line_start = before.rfind('\n') + 1; // npos + 1 is 0: the first line
  return text("line ", line, ", column ", offset - line_start + 1);
}

status check_json_depth(std::string_view text_in, std::string_view file_name, size_t depth_max) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text_in.size(); ++i) {
    const char c = text_in[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > depth_max) {
        return {status_code::corrupt, text(file_name, ": ", position_text(text_in, i),
                                           ": JSON nested deeper than ", depth_max, " levels")};
      }
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return {};
}

status check_json_members(std::string_view text_in, std::string_view file_name,
                          size_t members_max) {
  std::vector<size_t> members(1); // of each object that is open
  bool in_string = false;
  for (size_t i = 0; i < text_in.size(); ++i) {
    const char c = text_in[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      members.push_back(0);
    } else if ((c == ']' || c == '}') && members.size() > 1) {
      members.pop_back();
    } else if (c == ':' && ++members.back() > members_max) {
      return {status_code::corrupt, text(file_name, ": ", position_text(text_in, i),
                                         ": an object of more than ", members_max, " members")};
    }
  }
  return {};
}

namespace {

template <class Value>
result<Value> parse_any(std::string_view text_in, std::string_view file_name) {
  if (status deep = check_json_depth(text_in, file_name); !deep.ok()) return fail(std::move(deep));
  try {
    return Value::parse(text_in.begin(), text_in.end());
  } catch (const nlohmann::json::parse_error& error) {
    const size_t offset = error.byte > 0 ? error.byte - 1 : 0;
    return fail(status_code::corrupt, text(file_name, ": ", position_text(text_in, offset),
                                           ": not valid JSON: ", error.what()));
  } catch (const nlohmann::json::exception& error) {
    return fail(status_code::corrupt, text(file_name, ": not valid JSON: ", error.what()));
  }
}

} // namespace

result<nlohmann::json> parse_json(std::string_view text_in, std::string_view file_name) {
  return parse_any<nlohmann::json>(text_in, file_name);
}

result<nlohmann::ordered_json> parse_ordered_json(std::string_view text_in,
                                                  std::string_view file_name) {
  if (status many = check_json_members(text_in, file_name); !many.ok())
    return fail(std::move(many));
  return parse_any<nlohmann::ordered_json>(text_in, file_name);
}

json_field json_field::member(const char* name) const {
  const bool at_root = where_.empty() || where_.find(": ") == std::string::npos;
  std::string path = text(where_, at_root ? ": " : ".", name);
  const auto found = value_->find(name);
  return {found == value_->end() ? null_value : *found, std::move(path)};
}

json_field json_field::element(size_t index) const {
  return {(*value_)[index], text(where_, "[", index, "]")};
}

result<json_field> json_field::object(const char* name) const {
  json_field found = member(name);
  if (!found.value().is_object()) {
    return found.fails(found.is_null() ? "missing" : "must be an object");
  }
  return found;
}

result<json_field> json_field::array(const char* name) const {
  json_field found = member(name);
  if (!found.value().is_array()) {
    return found.fails(found.is_null() ? "missing" : "must be an array");
  }
  return found;
}

result<std::string> json_field::string(const char* name) const {
  const json_field found = member(name);
  if (!found.value().is_string()) {
    return found.fails(found.is_null() ? "missing" : "must be a string");
  }
  return found.value().get<std::string>();
}

result<std::optional<std::string>> json_field::optional_string(const char* name) const {
  const json_field found = member(name);
  if (found.is_null()) return std::optional<std::string>();
  if (!found.value().is_string()) return found.fails("must be a string or null");
  return std::optional<std::string>(found.value().get<std::string>());
}

result<bool> json_field::boolean(const char* name) const {
  const json_field found = member(name);
  if (!found.value().is_boolean()) {
    return found.fails(found.is_null() ? "missing" : "must be true or false");
  }
  return found.value().get<bool>();
}

result<bool> json_field::boolean(const char* name, bool fallback) const {
  if (member(name).is_null()) return fallback;
  return boolean(name);
}

result<uint64_t> json_field::count(const char* name) const {
  const json_field found = member(name);
  if (!found.value().is_number_unsigned()) {
    return found.fails(found.is_null() ? "missing" : "must be a whole number from 0");
  }
  return found.value().get<uint64_t>();
}

} // namespace troupe::model
