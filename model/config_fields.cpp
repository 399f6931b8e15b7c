// Field readers: each checks presence, kind and range, in that order, and names the field.
#include "model/config_fields.hpp"

#include "base/text.hpp"
#include "model/json_document.hpp"

#include <cmath>

namespace troupe::model {

const nlohmann::json* config_fields::find(std::string_view name) const {
  const auto at = object_.find(std::string(name));
  return at == object_.end() || at->is_null() ? nullptr : &*at;
}

bool config_fields::given(std::string_view name) const {
  return find(name) != nullptr;
}

bool config_fields::is_null(std::string_view name) const {
  const auto at = object_.find(std::string(name));
  return at != object_.end() && at->is_null();
}

void config_fields::refuse(status_code code, std::string_view why) {
  if (first_.ok()) first_ = status(code, text(where_, ": ", why));
}

void config_fields::refuse_field(status_code code, std::string_view name, std::string_view why) {
  refuse(code, text("field '", name, "' ", why));
}

void config_fields::wrong_kind(std::string_view name, std::string_view wanted,
                               const nlohmann::json& found) {
  refuse_field(status_code::corrupt, name,
               text("is ", json_kind(found), " where ", wanted, " is needed"));
}

uint32_t config_fields::size(std::string_view name, uint32_t fallback, uint32_t least,
                             uint32_t most) {
  const auto* value = find(name);
  if (value == nullptr) return fallback;
  if (!value->is_number_integer()) {
    wrong_kind(name, "an integer", *value);
    return fallback;
  }
  // Larger than int64 is stored unsigned; both kinds are compared without wrapping.
  const bool fits =
      value->is_number_unsigned() ? value->get<uint64_t>() <= most : value->get<int64_t>() >= 0;
  const uint64_t size = fits ? value->get<uint64_t>() : 0;
  if (!fits || size < least) {
    refuse_field(status_code::corrupt, name,
                 text("is ", value->dump(), ", outside ", least, " to ", most));
    return fallback;
  }
  return static_cast<uint32_t>(size);
}

uint32_t config_fields::size_of(std::string_view name, std::string_view synonym, uint32_t fallback,
                                uint32_t most) {
  return size(given(name) || !given(synonym) ? name : synonym, fallback, 1, most);
}

std::optional<double> config_fields::optional_number(std::string_view name, double least,
                                                     double most) {
  const auto* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    wrong_kind(name, "a number", *value);
    return std::nullopt;
  }
  const double number = value->get<double>();
  if (!(number >= least && number <= most)) { // also refuses NaN
    refuse_field(status_code::corrupt, name,
                 text("is ", number, ", outside ", least, " to ", most));
    return std::nullopt;
  }
  return number;
}

double config_fields::number(std::string_view name, double fallback, double least, double most) {
  return optional_number(name, least, most).value_or(fallback);
}

bool config_fields::flag(std::string_view name, bool fallback) {
  const auto* value = find(name);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    wrong_kind(name, "true or false", *value);
    return fallback;
  }
  return value->get<bool>();
}

std::string config_fields::word(std::string_view name, std::string_view fallback) {
  const auto* value = find(name);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) {
    wrong_kind(name, "a string", *value);
    return std::string(fallback);
  }
  return value->get<std::string>();
}

std::vector<double> config_fields::numbers(std::string_view name) {
  const auto* value = find(name);
  std::vector<double> out;
  if (value == nullptr) return out;
  if (!value->is_array()) {
    wrong_kind(name, "a list of numbers", *value);
    return out;
  }
  for (const auto& entry : *value) {
    if (!entry.is_number() || !std::isfinite(entry.get<double>())) {
      refuse_field(status_code::corrupt, name,
                   text("holds ", json_kind(entry), " where a number is needed"));
      return {};
    }
    out.push_back(entry.get<double>());
  }
  return out;
}

bool config_fields::read_id(std::string_view name, const nlohmann::json& value,
                            std::vector<int32_t>& out) {
  if (!value.is_number_integer()) {
    wrong_kind(name, "an integer or a list of integers", value);
    return false;
  }
  const bool fits = value.is_number_unsigned() ? value.get<uint64_t>() <= INT32_MAX : false;
  // -1 is a common spelling of "none".
  if (!fits && value.is_number_unsigned()) {
    refuse_field(status_code::corrupt, name, text("is ", value.dump(), ", which is no token id"));
    return false;
  }
  if (fits) out.push_back(value.get<int32_t>());
  return true;
}

std::vector<int32_t> config_fields::ids(std::string_view name) {
  const auto* value = find(name);
  std::vector<int32_t> out;
  if (value == nullptr) return out;
  if (!value->is_array()) {
    read_id(name, *value, out);
    return out;
  }
  for (const auto& entry : *value) {
    if (!read_id(name, entry, out)) return {};
  }
  return out;
}

std::vector<std::string> config_fields::words(std::string_view name) {
  const auto* value = find(name);
  std::vector<std::string> out;
  if (value == nullptr) return out;
  if (!value->is_array()) {
    wrong_kind(name, "a list of strings", *value);
    return out;
  }
  for (const auto& entry : *value) {
    if (!entry.is_string()) {
      refuse_field(status_code::corrupt, name,
                   text("holds ", json_kind(entry), " where a string is needed"));
      return {};
    }
    out.push_back(entry.get<std::string>());
  }
  return out;
}

const nlohmann::json* config_fields::object(std::string_view name) {
  const auto* value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) {
    wrong_kind(name, "an object", *value);
    return nullptr;
  }
  return value;
}

} // namespace troupe::model
