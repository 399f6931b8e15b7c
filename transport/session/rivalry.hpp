// Which of several sessions between two nodes stays, so that both sides come to the same one.
#pragma once

#include "transport/endpoint.hpp"
#include "transport/session/control_record.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace troupe::transport {

// What a responder knows when a peer has proven who it is.
struct rivalry {
  node_identity self;
  node_identity peer;                    // who asks for a session
  std::optional<uint64_t> highest;       // incarnation of this name that was ever seen
  std::optional<uint64_t> up;            // incarnation with which there is a session
  bool up_by_us = false;                 // which we asked for
  std::optional<uint64_t> closing_by_us; // our own request has reached this incarnation
};

// Of two nodes that ask each other at the same time, the one with the smaller name decides: it
// refuses while its own request has reached the other, and the other one always accepts. A peer
// asks only when it has no session, so a request that finds one means that the peer has lost it.
inline session_verdict judge(const rivalry& facts) {
  if (facts.peer.name == facts.self.name) return session_verdict::own_name;
  if (facts.highest && facts.peer.incarnation < *facts.highest) return session_verdict::stale;
  if (facts.peer.name < facts.self.name) return session_verdict::accepted;
  if (facts.closing_by_us == facts.peer.incarnation) return session_verdict::duplicate;
  // It was under way when the peer accepted ours; if the peer has lost ours, it asks again.
  if (facts.up == facts.peer.incarnation && facts.up_by_us) return session_verdict::duplicate;
  return session_verdict::accepted;
}

} // namespace troupe::transport
