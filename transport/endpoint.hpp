// The seam between nodes: frames to a named peer, in order, with bounds that the sender feels.
// Nodes of a cluster find each other through it, and a simulation puts a network of its own behind
// it. A program that is a single node opens no endpoint.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace troupe::transport {

// Who speaks: the name of a node and how many times it has started. A node that comes back has a
// higher incarnation, and everything of the lower one is void.
struct node_identity {
  std::string name;
  uint64_t incarnation = 0;

  friend bool operator==(const node_identity&, const node_identity&) = default;
};

struct endpoint_options {
  size_t queued_frames_max = 1024; // to one peer, not yet taken by it
  uint64_t queued_bytes_max = uint64_t{64} << 20;
  uint64_t frame_bytes_max = uint64_t{16} << 20; // header and payload together
};

// What an endpoint has done; read at any time.
struct endpoint_counters {
  uint64_t frames_sent = 0;
  uint64_t frames_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  uint64_t refused_exhausted = 0; // send() without credit
  uint64_t dropped_stale = 0;     // frames of an earlier incarnation, of the sender or of ourselves
  uint64_t dropped_peer_lost = 0; // accepted by send(), but the peer went before it took them

  // Of endpoints that other machines can reach.
  uint64_t dropped_forged = 0;     // frames that no peer of ours has sealed
  uint64_t dropped_replayed = 0;   // frames that were here before
  uint64_t dropped_truncated = 0;  // frames that are not whole
  uint64_t dropped_oversized = 0;  // frames beyond frame_bytes_max
  uint64_t refused_handshakes = 0; // strangers, and peers that may not join
  uint64_t sessions_opened = 0;
};

// What happens at an endpoint. Calls come one at a time, on the transport's own thread (loopback:
// on whoever calls deliver()); they must not block. They may call send().
class endpoint_listener {
public:
  virtual ~endpoint_listener() = default;
  // The spans are valid during the call only.
  virtual void frame_received(const node_identity& from, std::span<const std::byte> header,
                              std::span<const std::byte> payload) = 0;
  virtual void peer_up(const node_identity& peer) = 0;
  // Nothing of this incarnation of the peer comes after this.
  virtual void peer_down(const node_identity& peer) = 0;
  // A peer refuses us, since a later start of this very node is or was there. With every refusal.
  virtual void outdated() {}
};

class endpoint {
public:
  virtual ~endpoint() = default;

  virtual const node_identity& self() const = 0;

  // Queues one frame; the bytes are copied or sent when it returns. Frames to one peer arrive in
  // the order of their sends, or not at all once the peer is down.
  //   exhausted         no credit: it would exceed the bounds of this peer's queue; try later
  //   unavailable       no such peer is up
  //   invalid_argument  larger than frame_bytes_max
  virtual status send(const std::string& peer, std::span<const std::byte> header,
                      std::span<const std::byte> payload) = 0;

  // Frames that send() would still take for this peer; 0 when it is not up.
  virtual size_t credit(const std::string& peer) const = 0;

  // The peers that are up, by name.
  virtual std::vector<node_identity> peers() const = 0;
  virtual endpoint_counters counters() const = 0;
};

} // namespace troupe::transport
