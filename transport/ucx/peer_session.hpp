// What the progress thread keeps of one session, from the first byte to the last.
#pragma once

#include "base/clock.hpp"
#include "transport/session/crypto.hpp"
#include "transport/session/frame_assembly.hpp"
#include "transport/session/frame_gate.hpp"
#include "transport/session/handshake.hpp"
#include "transport/session/peer_book.hpp"
#include "transport/ucx/buffer_pool.hpp"
#include "transport/ucx/connection.hpp"
#include "transport/ucx/ucx_worker.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace troupe::transport {

enum class stage : uint8_t {
  looking_up, // the name of the host
  connecting, // TCP
  shaking,    // proving who we are
  awaiting,   // for the responder's verdict
  proving,    // accepted; the first frame over UCX is to come
  up,
  describing, // sends the description and ends
};

struct session {
  uint64_t id = 0;
  stage at = stage::shaking;
  bool initiated = false;
  peer_book::dial dialled;
  std::optional<connection> control;
  uint32_t watched = 0; // events that epoll has for it
  std::optional<handshake> shake;
  time_point deadline{}; // of what comes before `up`
  hello peer;
  std::shared_ptr<const aead_key> seal, open; // null when frames travel in clear
  std::optional<frame_gate<frame_buffer>> gate;
  frame_assembly<frame_buffer> assembly; // of the frame that comes in pieces just now
  std::unique_ptr<ucx_worker> worker;    // from the acceptance on
  bool worker_asleep = false;            // armed: epoll says when it has work
  time_point worker_busy{}, up_at{};
  bool shut = false; // the ports of the worker
  uint32_t bad_frames = 0, silent_beats = 0, stalled_beats = 0;
  uint64_t frames_taken = 0;         // by the peer, as it says
  bool probed = false;               // our first frame is on its way
  size_t described = 0;              // bytes of the description sent
  std::optional<std::string> doomed; // why it is to be closed, by now or soon

  const std::string& name() const { return peer.identity.name; }
  bool accepted() const { return at == stage::proving || at == stage::up; }
};

} // namespace troupe::transport
