// Endpoints of one process that are connected by memory, for tests and for several nodes in one
// program. Nothing moves by itself: frames and events wait until somebody calls deliver().
#pragma once

#include "transport/endpoint.hpp"

#include <memory>
#include <string>

namespace troupe::transport {

// Not thread-safe: one thread owns the network and all its endpoints. Endpoints may outlive it;
// they are then without peers.
class loopback_network {
public:
  loopback_network();
  ~loopback_network();
  loopback_network(const loopback_network&) = delete;
  loopback_network& operator=(const loopback_network&) = delete;

  // Joins a node under this name; the nodes that are there and the new one hear peer_up of each
  // other. A name that is taken by a lower incarnation is taken over: that endpoint is cut off, its
  // peers hear peer_down before peer_up. An equal or higher one makes it fail with
  // invalid_argument. The listener must live as long as the endpoint.
  result<std::unique_ptr<endpoint>> open(node_identity self, endpoint_listener& listener,
                                         endpoint_options options = {});

  // Hands out at most `events_max` waiting frames and events, oldest first; returns how many. What
  // the listeners send meanwhile waits for its turn.
  size_t deliver(size_t events_max);
  // Until nothing waits. Bounded by events_max, because listeners may answer each other for ever.
  size_t deliver_all(size_t events_max = 1'000'000);
  size_t waiting() const;

  // The node vanishes without a word, as if its machine had lost power: frames to and from it that
  // are not delivered yet are lost, peers hear peer_down. Unknown names are ignored.
  void lose(const std::string& name);

private:
  struct core;
  class loopback_endpoint;
  std::shared_ptr<core> core_; // shared with the endpoints
};

} // namespace troupe::transport
