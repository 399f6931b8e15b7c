// Typed reading of request fields.
#include "server/json_fields.hpp"

#include "base/text.hpp"

#include <cmath>

namespace troupe::server {

const json_value* json_fields::find(const char* name) const {
  if (error_.has_value()) return nullptr;
  const auto at = object_.find(name);
  return at == object_.end() || at->is_null() ? nullptr : &*at;
}

std::optional<bool> json_fields::boolean(const char* name) {
  const json_value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  fail_range(name, *value, "true or false");
  return std::nullopt;
}

std::optional<int64_t> json_fields::integral(const json_value& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  // Beyond 2^53 a double does not say which integer was meant.
  if (std::abs(number) > 9007199254740992.0 || std::trunc(number) != number) return std::nullopt;
  return static_cast<int64_t>(number);
}

std::optional<int64_t> json_fields::integer(const char* name, int64_t min, int64_t max) {
  const json_value* value = find(name);
  if (value == nullptr) return std::nullopt;
  const auto number = integral(*value);
  if (number && *number >= min && *number <= max) return number;
  fail_range(name, *value, text("an integer between ", min, " and ", max));
  return std::nullopt;
}

std::optional<double> json_fields::number(const char* name, double min, double max) {
  const json_value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (number >= min && number <= max) return number;
  }
  fail_range(name, *value, text("a number between ", min, " and ", max));
  return std::nullopt;
}

std::optional<double> json_fields::number_above(const char* name, double above, double max) {
  const json_value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (number > above && number <= max) return number;
  }
  fail_range(name, *value, text("a number above ", above, " and at most ", max));
  return std::nullopt;
}

std::optional<std::string> json_fields::string(const char* name, size_t bytes_max) {
  const json_value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    fail_range(name, *value, "a string");
    return std::nullopt;
  }
  const auto& content = value->get_ref<const std::string&>();
  if (content.size() <= bytes_max) return content;
  fail(name, text("must have at most ", bytes_max, " bytes, got ", content.size()));
  return std::nullopt;
}

void json_fields::fail(const char* name, const std::string& what) {
  const std::string field = prefix_ + name;
  fail(invalid_field(field, text(field, " ", what)));
}

void json_fields::fail(api_error error) {
  if (!error_.has_value()) error_ = std::move(error);
}

void json_fields::fail_range(const char* name, const json_value& value, const std::string& range) {
  fail(name, text("must be ", range, ", got ", shown(value)));
}

} // namespace troupe::server
