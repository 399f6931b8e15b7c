// Reading untrusted JSON text: syntax errors, too deep nesting and doubled names become a status.
// For sources only: it brings in the JSON library.
#pragma once

#include "base/status.hpp"

#include <nlohmann/json.hpp>

#include <string_view>

namespace troupe::model {

inline constexpr uint32_t json_depth_max = 64; // far beyond any configuration file

// The document, whose outermost value must be an object without doubled names. `file` is for
// messages.
result<nlohmann::json> parse_json_object(std::string_view json_text, std::string_view file);

// What kind of value it is, for messages: "a string", "null", …
std::string_view json_kind(const nlohmann::json& value);

} // namespace troupe::model
