// The frames that are under way in the simulated network, in slots that are used again.
#pragma once

#include "base/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace troupe::simulations {

struct flying_frame {
  uint32_t from = 0, to = 0;
  uint64_t from_incarnation = 0; // as the sender's endpoint says it
  uint64_t from_process = 0;     // machine::incarnation() of both when it was sent
  uint64_t to_process = 0;
  uint64_t resets = 0; // of the link when it was sent
  uint64_t number = 0; // of the frame on its link
  time_point sent{};
  time_point departs{}; // when its last byte leaves the sender
  bool queued = false;  // counts against the sender's credit
  size_t header_size = 0;
  std::vector<std::byte> bytes; // header and payload

  std::span<const std::byte> header() const {
    return std::span(bytes).first(header_size < bytes.size() ? header_size : bytes.size());
  }
  std::span<const std::byte> payload() const { return std::span(bytes).subspan(header().size()); }
};

class frame_pool {
public:
  uint32_t take() {
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(frames_.size()));
      frames_.emplace_back();
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  // Keeps small buffers for the next frame.
  void release(uint32_t index) {
    auto& bytes = frames_[index].bytes;
    if (bytes.capacity() > kept_bytes_max) bytes = {};
    free_.push_back(index);
  }
  flying_frame& at(uint32_t index) { return frames_[index]; }

private:
  static constexpr size_t kept_bytes_max = 64 << 10;
  std::vector<flying_frame> frames_;
  std::vector<uint32_t> free_;
};

} // namespace troupe::simulations
