// The receiving side of one session's frames: which are genuine, which are new, and in which order
// they go on. Small frames may overtake large ones on the way; this undoes it.
#pragma once

#include "transport/session/crypto.hpp"
#include "transport/session/frame_head.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <utility>

namespace troupe::transport {

// Bytes that a sealed frame has beyond header and payload.
inline size_t seal_bytes(bool encrypt) {
  return encrypt ? aead_tag_bytes : 0;
}

// What became of a frame; everything but `fresh` is counted and dropped.
enum class frame_verdict : uint8_t {
  fresh,
  forged,    // not sealed by the peer under this session, or so far ahead that the peer cannot be
  replayed,  // its number was here before
  truncated, // shorter than its head says
  oversized,
};

// Writes the sealed body of a frame to out: header, payload and seal_bytes.
inline void seal_frame(const aead_key* key, const frame_head& head,
                       std::span<const std::byte> header, std::span<const std::byte> payload,
                       std::byte* out) {
  if (key != nullptr) {
    key->seal(head.sequence, encode(head), payload, header, out);
    return;
  }
  if (!payload.empty()) std::memcpy(out, payload.data(), payload.size());
  if (!header.empty()) std::memcpy(out + payload.size(), header.data(), header.size());
}

// `Body` is whatever keeps the bytes of a frame until its turn comes, and says its size().
template <class Body>
class frame_gate {
public:
  struct limits {
    uint64_t window = 256; // numbers ahead of the next one that may wait
    uint64_t frame_bytes_max = 0;
    // Of frames that are expected or wait for earlier ones. The one whose turn it is may come
    // beside them: so a peer makes us hold at most this and one frame.
    uint64_t held_bytes_max = UINT64_MAX;
  };
  struct frame {
    frame_head head;
    Body body;
  };

  // key: null when frames travel in clear. It must outlive the gate.
  frame_gate(const aead_key* key, limits bounds) : key_(key), bounds_(bounds) {}

  // May memory be taken for this frame? Before its body is looked at.
  frame_verdict admit(const frame_head& head, uint64_t body_bytes) const {
    const auto verdict = check(head, body_bytes);
    if (verdict == frame_verdict::fresh && head.sequence != next_ &&
        held_bytes_ + body_bytes > bounds_.held_bytes_max)
      return frame_verdict::oversized;
    return verdict;
  }

  // A frame that admit() found fresh, and whose body is to come.
  void expect(const frame_head& head, uint64_t body_bytes) {
    expected_.emplace(head.sequence, body_bytes);
    held_bytes_ += body_bytes;
  }
  // It is here, or does not come: open() is next, when it is here.
  void came(const frame_head& head) {
    const auto node = expected_.extract(head.sequence);
    if (!node.empty()) held_bytes_ -= node.mapped();
  }

  // Checks the seal and writes the plain body to out, which may be the sealed one. When fresh, the
  // caller goes on with insert().
  frame_verdict open(const frame_head& head, std::span<const std::byte> body,
                     std::byte* out) const {
    if (const auto checked = check(head, body.size()); checked != frame_verdict::fresh)
      return checked;
    if (key_ == nullptr) {
      if (out != body.data() && !body.empty()) std::memcpy(out, body.data(), body.size());
      return frame_verdict::fresh;
    }
    return key_->open(head.sequence, encode(head), body, out) ? frame_verdict::fresh
                                                              : frame_verdict::forged;
  }

  // A frame that open() found fresh.
  void insert(const frame_head& head, Body body) {
    held_bytes_ += body.size();
    waiting_.emplace(head.sequence, frame{head, std::move(body)});
  }

  // A frame that open() found fresh, whose turn it is, and that is dealt with: instead of insert()
  // and take().
  bool is_next(const frame_head& head) const { return head.sequence == next_ && waiting_.empty(); }
  void pass() { ++next_; }

  // The frame whose turn it is, when it is here.
  std::optional<frame> take() {
    const auto first = waiting_.begin();
    if (first == waiting_.end() || first->first != next_) return std::nullopt;
    std::optional<frame> out(std::move(first->second));
    waiting_.erase(first);
    held_bytes_ -= out->body.size();
    ++next_;
    return out;
  }

  uint64_t next() const { return next_; }
  size_t waiting() const { return waiting_.size(); }
  uint64_t held_bytes() const { return held_bytes_; }

private:
  frame_verdict check(const frame_head& head, uint64_t body_bytes) const {
    const uint64_t least =
        (is_piece(head.kind) ? 0 : uint64_t{head.header_bytes}) + seal_bytes(key_ != nullptr);
    if (body_bytes < least) return frame_verdict::truncated;
    if (body_bytes - seal_bytes(key_ != nullptr) > bounds_.frame_bytes_max)
      return frame_verdict::oversized;
    if (head.sequence < next_ || waiting_.count(head.sequence) != 0 ||
        expected_.count(head.sequence) != 0)
      return frame_verdict::replayed;
    if (head.sequence - next_ >= bounds_.window) return frame_verdict::forged;
    return frame_verdict::fresh;
  }

  const aead_key* key_;
  limits bounds_;
  uint64_t next_ = 0, held_bytes_ = 0;
  std::map<uint64_t, uint64_t> expected_; // bytes by number
  std::map<uint64_t, frame> waiting_;     // by number; each at least next_
};

} // namespace troupe::transport
