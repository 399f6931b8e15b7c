// JSON in and out of the HTTP front end. For sources only: it brings in the JSON library.
#pragma once

#include "server/api_error.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace troupe::server {

// Members keep their order: templates show tools as the client wrote them, people read answers.
using json_value = nlohmann::ordered_json;

// Never fails: bytes that are no UTF-8 become replacement characters.
std::string dump(const json_value& value);

// Bounds of the shape of a request body. Members are found by looking at one after the other, so
// many of them in one object would cost much.
struct json_limits {
  size_t depth_max = 64;
  size_t members_max = 1024;
};

// The object a client sent. Refused with 400 and the position in bytes when the text is not JSON,
// not UTF-8, beyond the limits, or not an object.
api_result<json_value> parse_object(std::string_view body, const json_limits& limits);

// A short rendering of a value for messages.
std::string shown(const json_value& value);

} // namespace troupe::server
