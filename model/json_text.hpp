// Reading JSON texts of a model directory: parsing with a depth bound, fields with errors that name
// them.
#pragma once

#include "base/status.hpp"
#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::model {

inline constexpr size_t json_depth_max = 128;
inline constexpr size_t json_ordered_members_max = 2048;

// Says at which line and column (bytes, from 1) the offset is: "line 3, column 14".
std::string position_text(std::string_view text, size_t offset);

// The failure when arrays and objects are nested deeper than depth_max, before anything is built.
status check_json_depth(std::string_view text, std::string_view file_name,
                        size_t depth_max = json_depth_max);

// The failure when an object has more members than that.
status check_json_members(std::string_view text, std::string_view file_name,
                          size_t members_max = json_ordered_members_max);

// Parses a whole text. The failure names the file, the line and the column.
result<nlohmann::json> parse_json(std::string_view text, std::string_view file_name);
// The same with members in the order of the text, which are searched one by one: no object may have
// more than json_ordered_members_max of them.
result<nlohmann::ordered_json> parse_ordered_json(std::string_view text,
                                                  std::string_view file_name);

// One value of a parsed text that knows its way from the root, for errors. Lives no longer than the
// text.
class json_field {
public:
  json_field(const nlohmann::json& value, std::string where)
      : value_(&value), where_(std::move(where)) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& where() const { return where_; }
  bool is_null() const { return value_->is_null(); }

  // A failure at this field: "tokenizer.json: model.vocab: why".
  tl::unexpected<status> fails(std::string_view why,
                               status_code code = status_code::corrupt) const {
    return fail(code, text(where_, ": ", why));
  }

  // The member called name, or a JSON null when there is none. This must be an object.
  json_field member(const char* name) const;
  json_field element(size_t index) const;

  result<json_field> object(const char* name) const;
  result<json_field> array(const char* name) const;
  result<std::string> string(const char* name) const;
  result<std::optional<std::string>> optional_string(const char* name) const;
  result<bool> boolean(const char* name) const;
  // Missing and null give the fallback; any other type is a failure.
  result<bool> boolean(const char* name, bool fallback) const;
  result<uint64_t> count(const char* name) const;
  // The member "type" of this object.
  result<std::string> type() const { return string("type"); }

private:
  const nlohmann::json* value_;
  std::string where_;
};

} // namespace troupe::model

// Inside a function that returns a result: takes the value out of `expr` or passes the failure on.
#define TROUPE_MODEL_JOIN_(a, b) a##b
#define TROUPE_MODEL_JOIN(a, b) TROUPE_MODEL_JOIN_(a, b)
#define TROUPE_TAKE(name, expr)                                                         \
  auto TROUPE_MODEL_JOIN(taken_, __LINE__) = (expr);                                    \
  if (!TROUPE_MODEL_JOIN(taken_, __LINE__))                                             \
    return tl::make_unexpected(std::move(TROUPE_MODEL_JOIN(taken_, __LINE__)).error()); \
  name = std::move(*TROUPE_MODEL_JOIN(taken_, __LINE__))
