// How two nodes prove to each other that they have the cluster's key, agree on the keys of one
// session, and say who they are. Bytes in, bytes out: no socket, no clock. docs/transport.md has
// the messages and the key schedule.
//
//   initiator                        responder
//   opening  (ephemeral key, MAC) ->
//                                 <- reply  (ephemeral key, hello sealed)
//   closing  (hello sealed)       ->
//
// Whoever does not have the key cannot make an opening that is answered. An opening may be replayed
// by somebody who heard one: the reply then helps nobody without the ephemeral key.
#pragma once

#include "base/status.hpp"
#include "transport/session/crypto.hpp"
#include "transport/session/hello.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace troupe::transport {

inline constexpr uint16_t protocol_version = 2;
inline constexpr size_t handshake_message_bytes_max = 16384;

// Why the initiator comes.
enum class session_purpose : uint8_t { peer = 0, description = 1 };

struct handshake_options {
  secret key; // of the cluster
  hello self;
  session_purpose purpose = session_purpose::peer; // of an initiator
  bool encrypt = true; // frames; the handshake and control records always are
};

// The keys of a session, by what they are for and who seals with them.
struct session_keys {
  aead_key control_out, control_in;
  aead_key frames_out, frames_in;
};

// One side of one handshake. Feed receive() with whole messages; after a failure the handshake is
// over. Not thread-safe.
class handshake {
public:
  static handshake initiate(handshake_options options);
  static handshake respond(handshake_options options);
  ~handshake();
  handshake(handshake&&) noexcept;
  handshake& operator=(handshake&&) noexcept;

  // What an initiator says first.
  std::vector<std::byte> opening();

  // The answer to a message of the other side; empty when there is none to give.
  //   corrupt      not made with our key, damaged, or out of turn
  //   unsupported  made with our key by a node that speaks another version or does not agree about
  //                encryption
  result<std::vector<std::byte>> receive(std::span<const std::byte> message);

  // Both know and trust each other; what follows is valid then.
  bool done() const;
  const hello& peer() const;
  session_purpose purpose() const; // a responder knows it from the opening on
  session_keys take_keys();        // once

private:
  struct state;
  explicit handshake(std::unique_ptr<state> state);
  std::unique_ptr<state> state_;
};

} // namespace troupe::transport
