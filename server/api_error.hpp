// Failures as OpenAI clients expect them: an HTTP status and an error object.
#pragma once

#include "base/status.hpp"

#include <tl/expected.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace troupe::server {

struct api_error {
  int http_status = 400;
  std::string message; // for a person: what is wrong, its value, what is allowed
  std::string type = "invalid_request_error";
  std::string param;          // the field; empty: null
  std::string code;           // empty: null
  uint32_t retry_after_s = 0; // 0: no hint
  bool retry_useless = false; // tells clients that retry by themselves not to
};

template <class T>
using api_result = tl::expected<T, api_error>;

inline tl::unexpected<api_error> refuse(api_error why) {
  return tl::make_unexpected(std::move(why));
}

// 400 about one field.
api_error invalid_field(std::string_view param, std::string message);
// 400 about a field that is known but that this server cannot honour.
api_error unsupported_field(std::string_view param, std::string message);

// What a failure of the engine means to a client.
api_error error_of(const status& why);

// {"error":{"message","type","param","code"}}
std::string error_body(const api_error& error);

// A client's text for use inside a message: quoted, cut to a few dozen bytes.
std::string in_quotes(std::string_view value);

} // namespace troupe::server
