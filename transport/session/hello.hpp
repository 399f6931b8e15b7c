// What a node says of itself when a session begins, and the limits of what it may say.
#pragma once

#include "base/status.hpp"
#include "transport/endpoint.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::transport {

inline constexpr size_t name_bytes_max = 64;
inline constexpr size_t address_bytes_max = 264; // a DNS name, a colon and a port

struct hello {
  node_identity identity; // without a name: somebody who only asks and is no peer
  std::string address;    // "host:port" under which others reach it; empty: nobody can dial it
  uint64_t session = 0;   // the frames that it receives carry this number
  uint64_t frame_bytes_max = 0;

  friend bool operator==(const hello&, const hello&) = default;
};

// Letters, digits, '.', '_' and '-': a name goes into logs, metrics and file names.
bool valid_name(std::string_view name);
// "host:port" or "[v6]:port"; only its shape is checked.
bool valid_address(std::string_view address);

std::vector<std::byte> encode(const hello& from);
result<hello> decode_hello(std::span<const std::byte> bytes);

} // namespace troupe::transport
