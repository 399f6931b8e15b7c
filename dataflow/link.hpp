// An ordered, bounded, exactly-once stream of frames to one peer over a network that may lose,
// repeat and reorder them: numbers, cumulative acknowledgements, resending. Credits across nodes
// are the sender's window. One link lives as long as both incarnations do.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::dataflow {

struct link_limits {
  uint32_t frames_max = 256;                 // sent and not acknowledged
  uint64_t bytes_max = uint64_t{256} << 20;  // of them
  duration resend_after = std::chrono::milliseconds(60); // doubles while nothing is acknowledged …
  duration resend_max = std::chrono::seconds(1);         // … up to this
  uint32_t resend_burst = 16;                // frames sent again at once
};

// T is whatever is sent; it is kept until acknowledged.
template <class T>
class link_sender {
public:
  explicit link_sender(const link_limits& limits) : limits_(limits) {}

  // Takes the frame and gives it the next number; the caller sends it. `exhausted` without credit.
  // A frame larger than bytes_max goes alone.
  result<uint64_t> offer(T frame, uint64_t bytes, time_point now);
  // Every frame up to this number has been taken by the peer. Numbers never offered are ignored.
  void acknowledge(uint64_t upto, time_point now);
  // Frames whose acknowledgement is overdue, in order, to be sent again now.
  std::vector<std::pair<uint64_t, const T*>> overdue(time_point now);
  // When overdue() may next have something; absent when nothing is under way.
  std::optional<time_point> next_due() const;

  uint32_t credit() const;      // frames offer() would still take
  uint32_t under_way() const;   // not acknowledged
  uint64_t resent() const;      // so far
  uint64_t last_number() const; // highest number given

private:
  // (helper defines)
};

// Frames come out in order, each once.
template <class T>
class link_receiver {
public:
  explicit link_receiver(const link_limits& limits) : limits_(limits) {}

  enum class verdict : uint8_t { kept, repeated, beyond_window };
  // A frame has come in. Early ones are kept until those before them are there.
  verdict receive(uint64_t number, T frame);
  // The next frame in order, if it is there; stays until take().
  const T* front() const;
  T take();
  // Everything up to this number has been taken: what to tell the sender.
  uint64_t acknowledgement() const;
  uint32_t waiting() const; // kept and not taken

private:
  // (helper defines)
};

} // namespace troupe::dataflow
