// Addresses of sockets: "host:port" to and from what the system calls take.
#pragma once

#include "base/status.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace troupe::transport {

struct socket_address {
  sockaddr_storage storage{};
  socklen_t bytes = 0;

  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
  uint16_t port() const;
  bool is_loopback() const;
  bool is_any() const; // 0.0.0.0 or ::
};

std::string to_string(const socket_address& address); // "127.0.0.1:80", "[::1]:80"

// Without asking a name server. not_found: the host is no number.
result<socket_address> parse_numeric(std::string_view host_and_port);
// Asks the name server if it has to, which may take many seconds.
result<socket_address> resolve(std::string_view host_and_port);

// The network device that has this address, e.g. "lo"; empty when none or all have it.
std::string device_of(const socket_address& address);

// A file descriptor with an owner.
class file_handle {
public:
  file_handle() = default;
  explicit file_handle(int fd) : fd_(fd) {}
  file_handle(file_handle&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  file_handle& operator=(file_handle&& other) noexcept;
  ~file_handle() { reset(); }
  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

private:
  int fd_ = -1;
};

// A listening socket that does not block. unavailable: taken, or not ours.
result<file_handle> listen_on(const socket_address& address);
result<socket_address> local_address(int fd);

// Makes an eventfd readable.
void ring(int fd);

} // namespace troupe::transport
