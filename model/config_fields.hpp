// Typed reading of the fields of one JSON object, with defaults and bounds. The first error sticks
// and is asked for at the end, so that a family's list of fields reads as a table. For sources
// only.
#pragma once

#include "base/status.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

class config_fields {
public:
  // `where` names the object in messages ("config.json"). The object and `first` must outlive the
  // reader.
  config_fields(const nlohmann::json& object, std::string_view where, status& first)
      : object_(object), where_(where), first_(first) {}

  // Absent, and also null: a null means "not set" to every field of a configuration.
  bool given(std::string_view name) const;
  bool is_null(std::string_view name) const;

  // An integer in [least, most]; `fallback` when not given (and then not checked).
  uint32_t size(std::string_view name, uint32_t fallback, uint32_t least, uint32_t most);
  // The first of two spellings that is given.
  uint32_t size_of(std::string_view name, std::string_view synonym, uint32_t fallback,
                   uint32_t most);
  // A finite number in [least, most].
  double number(std::string_view name, double fallback, double least, double most);
  std::optional<double> optional_number(std::string_view name, double least, double most);
  bool flag(std::string_view name, bool fallback);
  std::string word(std::string_view name, std::string_view fallback);
  std::vector<double> numbers(std::string_view name);
  // An integer or a list of integers; empty when not given.
  std::vector<int32_t> ids(std::string_view name);
  std::vector<std::string> words(std::string_view name);
  const nlohmann::json* object(std::string_view name);

  // Records "<where>: <why>" unless an earlier error is there.
  void refuse(status_code code, std::string_view why);
  // Records "<where>: field '<name>' <why>".
  void refuse_field(status_code code, std::string_view name, std::string_view why);
  // Takes over the first error of another reader.
  void adopt(const status& other) {
    if (first_.ok()) first_ = other;
  }
  bool ok() const { return first_.ok(); }
  const std::string& where() const { return where_; }

private:
  const nlohmann::json* find(std::string_view name) const;
  void wrong_kind(std::string_view name, std::string_view wanted, const nlohmann::json& found);
  bool read_id(std::string_view name, const nlohmann::json& value, std::vector<int32_t>& out);

  const nlohmann::json& object_;
  std::string where_;
  status& first_;
};

} // namespace troupe::model
