// HTTP messages as plain data, and the text of response heads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::server {

struct http_request {
  std::string method; // as sent
  std::string path;   // percent-decoded, without the query
  std::string query;
  std::vector<std::pair<std::string, std::string>> fields; // names in lower case
  std::string body;
  bool http11 = true;
  bool keep_alive = true;
  bool has_body = false; // announced by the head; nothing says it has been read

  // The first field of the name (in lower case); empty when there is none.
  std::string_view field(std::string_view name) const;
};

struct http_response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> fields; // besides the usual ones
};

enum class body_framing : uint8_t { length, chunked, until_close };

struct head_options {
  bool http11 = true;
  bool keep_alive = true;
  body_framing framing = body_framing::length;
  int64_t wall_seconds = 0; // for the Date field
};

// Status line and fields up to and including the blank line.
std::string response_head(const http_response& response, const head_options& options);

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date(int64_t wall_seconds);

std::string_view reason_phrase(int status);

// Splits a request target into path and query; the path is percent-decoded. False when it is
// malformed.
bool parse_target(std::string_view target, http_request& out);

} // namespace troupe::server
