// Asking a node over HTTP: one request, one answer, in bounded time.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "cli/host_port.hpp"

#include <string>

namespace troupe::cli {

struct http_answer {
  int status = 0;
  std::string body;
};

struct http_question {
  host_port server; // an IP address, or localhost
  std::string path;
  std::string key = ""; // sent as a bearer token; empty: none
  duration timeout = std::chrono::seconds(2);
};

// unavailable: nobody there, or no HTTP; timed_out.
result<http_answer> http_get(const clock& time, const http_question& ask);

// Of the bytes of a whole response; `corrupt` when they are none.
result<http_answer> parse_http_answer(const std::string& bytes);

} // namespace troupe::cli
