// The head that travels in clear in front of every frame, and that its seal covers. Who speaks is
// not in it: that is what the session says.
#pragma once

#include "base/status.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace troupe::transport {

enum class frame_kind : uint8_t {
  data = 0,
  probe = 1, // empty; the first frame of a session, which shows that the data path works
  // Large frames come in pieces of payload and header, one after the other, each with a number and
  // a seal of its own.
  piece = 2,
  last_piece = 3,
};

inline bool is_piece(frame_kind kind) {
  return kind == frame_kind::piece || kind == frame_kind::last_piece;
}

struct frame_head {
  uint64_t session = 0;  // the receiver's number for the session
  uint64_t sequence = 0; // of this direction, from 0 without gaps
  // The body is the payload, then so many bytes of header, then the seal. Of a piece: how many
  // bytes of payload and header are left, with this piece; of the last one: those of the whole
  // header.
  uint32_t header_bytes = 0;
  frame_kind kind = frame_kind::data;

  friend bool operator==(const frame_head&, const frame_head&) = default;
};

inline constexpr size_t frame_head_bytes = 24;

std::array<std::byte, frame_head_bytes> encode(const frame_head& from);
// corrupt: another length, an unknown kind, or bits that must be zero
result<frame_head> decode_frame_head(std::span<const std::byte> bytes);

} // namespace troupe::transport
