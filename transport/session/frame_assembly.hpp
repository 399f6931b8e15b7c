// A frame that comes in pieces, put together where it will be read. Pieces are sealed one by one,
// so that the peer opens the first while the next is still being sealed.
#pragma once

#include "transport/session/frame_head.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace troupe::transport {

// `Body` owns bytes and has bytes(). Pieces come in the order of their numbers; whoever calls sees
// to that.
template <class Body>
class frame_assembly {
public:
  // Where the plain bytes of this piece go; null when it does not continue what is here, or the
  // frame would be larger than bytes_max. `take(n)` gives a Body of n bytes: for the first piece.
  template <class Take>
  std::byte* room(const frame_head& head, uint64_t piece_bytes, uint64_t bytes_max, Take&& take) {
    const bool last = head.kind == frame_kind::last_piece;
    const uint64_t left = last ? piece_bytes : head.header_bytes; // of the frame, this piece too
    if (!last && (piece_bytes == 0 || piece_bytes >= left)) return nullptr;
    if (total_ == 0) {
      if (last || left > bytes_max) return nullptr;
      body_ = take(static_cast<size_t>(left));
      total_ = left;
    }
    if (left != total_ - filled_ || (last && head.header_bytes > total_)) return nullptr;
    return body_.bytes().data() + filled_;
  }

  // They are there. True: the frame is whole.
  bool put(const frame_head& head, uint64_t piece_bytes) {
    filled_ += piece_bytes;
    return head.kind == frame_kind::last_piece;
  }

  bool under_way() const { return total_ > 0; }
  // Empty again. Of a whole frame: its payload, then its header.
  Body take() {
    total_ = filled_ = 0;
    return std::exchange(body_, Body{});
  }

private:
  Body body_;
  uint64_t total_ = 0, filled_ = 0;
};

} // namespace troupe::transport
