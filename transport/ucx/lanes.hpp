// What was handed to send() and is not yet taken by its peer: one lane a peer that is up. Callers
// fill lanes from any thread; the progress thread empties them.
#pragma once

#include "transport/endpoint.hpp"
#include "transport/session/frame_head.hpp"
#include "transport/session/handshake.hpp"
#include "transport/ucx/buffer_pool.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe::transport {

struct lane_target {
  node_identity peer;
  uint64_t session = 0; // the peer's number for it
  uint64_t frame_bytes_max = 0;
  // Shared with the session and with senders that are in the middle of a frame. Null keys: frames
  // travel in clear.
  std::shared_ptr<const aead_key> key;
  uint64_t first_sequence = 0;
};

struct lane_options {
  endpoint_options bounds;
  uint64_t window = 128; // numbers from the oldest frame that is not taken to the newest one posted
  // Larger frames go in pieces of this size, but for those larger than whole_over.
  uint64_t piece_bytes = UINT64_MAX;
  uint64_t whole_over = UINT64_MAX;
  // From the oldest frame that is not taken to the newest one posted, unless it is one frame: what
  // the peer has to hold when that one is late.
  uint64_t posted_bytes_max = uint64_t{32} << 20;
};

// Any thread, unless said otherwise.
class lanes {
public:
  lanes(lane_options options, buffer_pool& pool, std::function<void()> wake)
      : options_(options), pool_(pool), wake_(std::move(wake)) {}

  status send(const std::string& peer, std::span<const std::byte> header,
              std::span<const std::byte> payload);
  size_t credit(const std::string& peer) const;
  std::vector<node_identity> peers() const;
  endpoint_counters counters() const; // of what lanes know

  // The rest is the progress thread's.
  struct frame {
    frame_head head;
    frame_buffer body;
  };
  void open(lane_target target);
  // Frames not taken are counted as lost.
  void close(const std::string& peer);
  // The next frame that may be posted; nullopt: none now.
  std::optional<frame> next(const std::string& peer);
  // The worker is done with a posted frame.
  void taken(const std::string& peer, uint64_t sequence, bool taken);
  // Frames posted or waiting; numbers given out.
  bool has_work() const { return work_.load(); }
  bool claim_work() { return work_.exchange(false); }
  uint64_t posted_end(const std::string& peer) const;

private:
  struct pending {
    frame_head head;
    frame_buffer body;
    uint64_t bytes = 0; // header and payload
    std::atomic<bool> sealed{false};
    bool ends_frame() const { return head.kind != frame_kind::piece; }
  };
  using frame_parts = std::vector<std::shared_ptr<pending>>;
  struct lane {
    lane_target target;
    uint64_t next_sequence = 0, posted_end = 0;
    std::deque<std::shared_ptr<pending>> queue; // shared with the senders that seal them
    struct span {
      uint64_t begin, bytes; // of all bytes of this lane
      bool ends_frame;
    };
    std::map<uint64_t, span> posted; // by sequence
    uint64_t posted_offset = 0;      // bytes posted so far
    // Queued and posted.
    uint64_t bytes = 0;
    size_t frames = 0;
  };
  frame_parts enqueue(lane& to, uint64_t bytes, size_t header_bytes) const;

  lane_options options_;
  buffer_pool& pool_;
  std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::map<std::string, lane> lanes_;
  endpoint_counters counters_;
  std::atomic<bool> work_{false};
};

} // namespace troupe::transport
