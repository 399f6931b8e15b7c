// Error objects and the mapping of the engine's failures onto HTTP.
#include "server/api_error.hpp"

#include "base/text.hpp"
#include "server/json_text.hpp"

namespace troupe::server {
namespace {

constexpr uint32_t retry_after_s_default = 1;
constexpr size_t quoted_bytes_max = 48;

} // namespace

api_error invalid_field(std::string_view param, std::string message) {
  api_error error;
  error.message = std::move(message);
  error.param = param;
  error.code = "invalid_value";
  return error;
}

api_error unsupported_field(std::string_view param, std::string message) {
  api_error error = invalid_field(param, std::move(message));
  error.code = "unsupported_parameter";
  return error;
}

api_error error_of(const status& why) {
  api_error error;
  error.message = why.why();
  error.code = to_string(why.code());
  switch (why.code()) {
    case status_code::invalid_argument:
    case status_code::unsupported:
      error.http_status = 400;
      return error;
    case status_code::not_found:
      error.http_status = 404;
      error.type = "not_found_error";
      return error;
    case status_code::exhausted:
      error.http_status = 429;
      error.type = "rate_limit_error";
      error.code = "server_busy";
      error.retry_after_s = retry_after_s_default;
      return error;
    case status_code::unavailable:
    case status_code::cancelled: // not by the client: it would not be there to read this
      error.http_status = 503;
      error.type = "service_unavailable_error";
      error.retry_after_s = retry_after_s_default;
      return error;
    case status_code::timed_out:
      // A retry would repeat the same deadline and fail again.
      error.http_status = 504;
      error.type = "timeout_error";
      error.code = "deadline_exceeded";
      error.retry_useless = true;
      return error;
    case status_code::ok:
    case status_code::corrupt:
    case status_code::device_lost:
      break;
  }
  error.http_status = 500;
  error.type = "server_error";
  return error;
}

std::string error_body(const api_error& error) {
  const auto or_null = [](const std::string& value) {
    return value.empty() ? json_value(nullptr) : json_value(value);
  };
  return dump(json_value{{"error",
                          {{"message", error.message},
                           {"type", error.type},
                           {"param", or_null(error.param)},
                           {"code", or_null(error.code)}}}});
}

std::string in_quotes(std::string_view value) {
  if (value.size() <= quoted_bytes_max) return text("'", value, "'");
  size_t end = quoted_bytes_max;
  while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xC0) == 0x80) --end;
  return text("'", value.substr(0, end), "…'");
}

} // namespace troupe::server
