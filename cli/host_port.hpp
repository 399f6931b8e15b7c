// "HOST:PORT" as people write it.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::cli {

struct host_port {
  std::string host; // without brackets
  uint16_t port = 0;
};

// "127.0.0.1:80", "[::1]:80", "name:80". The message says what is wrong, not where it stood.
result<host_port> parse_host_port(std::string_view from);
std::string to_string(const host_port& from);

} // namespace troupe::cli
