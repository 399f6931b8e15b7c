// Typed reading of the fields of a request with errors that name the field, its value and the
// range. For sources only: it brings in the JSON library.
#pragma once

#include "server/json_text.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace troupe::server {

// Reads members of one object. The first problem is kept and later reads do nothing, so that a
// parser reads as a list of fields and asks once at the end. A null is an absent member, as OpenAI
// has it.
class json_fields {
public:
  explicit json_fields(const json_value& object, std::string prefix = "")
      : object_(object), prefix_(std::move(prefix)) {}

  // The member, or nullptr when it is absent, null, or something was wrong before.
  const json_value* find(const char* name) const;

  std::optional<bool> boolean(const char* name);
  std::optional<int64_t> integer(const char* name, int64_t min, int64_t max);
  std::optional<double> number(const char* name, double min, double max);
  std::optional<double> number_above(const char* name, double above, double max);
  std::optional<std::string> string(const char* name, size_t bytes_max);

  // The integer of any number that has an integral value; absent otherwise.
  static std::optional<int64_t> integral(const json_value& value);

  void fail(const char* name, const std::string& what); // "prefix+name what"
  void fail(api_error error);
  bool ok() const { return !error_.has_value(); }
  const api_error& error() const { return *error_; }

private:
  void fail_range(const char* name, const json_value& value, const std::string& range);

  const json_value& object_;
  std::string prefix_; // "stream_options."
  std::optional<api_error> error_;
};

} // namespace troupe::server
