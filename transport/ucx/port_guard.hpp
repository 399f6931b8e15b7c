// Shuts the ports that UCX opens. Whoever reaches one and speaks UCX's language can write anywhere
// in the process (its TCP transport has messages that say "put these bytes at this address"), so
// they are open only while a peer that has proven itself connects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace troupe::transport {

struct listening_port {
  int fd = -1;
  uint16_t port = 0;

  friend bool operator==(const listening_port&, const listening_port&) = default;
};

// The sockets of this process that listen for TCP connections.
std::vector<listening_port> listening_ports();

// The ports of one worker. UCX owns the sockets; it may close them before the guard goes.
class port_guard {
public:
  port_guard() = default;
  // Those that were not there `before` and that the worker's address names.
  port_guard(const std::vector<listening_port>& before, std::span<const std::byte> worker_address);

  // From now on nobody gets in; connections that are there stay. False: a port stayed open.
  bool shut() const;
  size_t size() const { return ports_.size(); }

private:
  std::vector<listening_port> ports_;
};

} // namespace troupe::transport
