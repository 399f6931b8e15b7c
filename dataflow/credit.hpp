// The sender's side of a bounded edge: how much may be under way at once.
#pragma once

#include <cstdint>

namespace troupe::dataflow {

class credit_window {
public:
  explicit credit_window(uint32_t window) : window_(window) {}

  // Takes n credits, or none when fewer are left.
  [[nodiscard]] bool take(uint32_t n = 1);
  // Returns n credits; giving back more than was taken is a bug.
  void give(uint32_t n = 1);
  // The receiver is new: nothing is under way any more.
  void reset() { taken_ = 0; }

  uint32_t window() const { return window_; }
  uint32_t available() const { return window_ - taken_; }
  uint32_t taken() const { return taken_; }

private:
  uint32_t window_;
  uint32_t taken_ = 0;
};

} // namespace troupe::dataflow
