// JSON in and out of the HTTP front end. For sources only: it brings in the JSON library.
#pragma once

#include "server/api_error.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace troupe::server {

using json_in = nlohmann::json;
using json_out = nlohmann::ordered_json; // people read answers: members stay in the order written

// Never fails: bytes that are no UTF-8 become replacement characters.
std::string dump(const json_out& value);
std::string dump(const json_in& value);

// The object a client sent. Refused with 400 and the position in bytes when the text is not JSON,
// not UTF-8, nested deeper than depth_max, or not an object.
api_result<json_in> parse_object(std::string_view body, size_t depth_max);

// A short rendering of a value for messages.
std::string shown(const json_in& value);

} // namespace troupe::server
