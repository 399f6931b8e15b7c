// An ordered, bounded, exactly-once stream of frames to one peer over a network that may lose,
// repeat and reorder them: numbers, cumulative acknowledgements, resending. Credits across nodes
// are the sender's window. One link lives as long as both incarnations do.
#pragma once

#include "base/check.hpp"
#include "base/clock.hpp"
#include "base/mutant.hpp"
#include "base/status.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::dataflow {

struct link_limits {
  uint32_t frames_max = 256;                             // sent and not acknowledged
  uint64_t bytes_max = uint64_t{256} << 20;              // of them
  duration resend_after = std::chrono::milliseconds(60); // doubles while nothing is acknowledged …
  duration resend_max = std::chrono::seconds(1);         // … up to this
  uint32_t resend_burst = 16;                            // frames sent again at once
};

// T is whatever is sent; it is kept until acknowledged.
template <class T>
class link_sender {
public:
  explicit link_sender(const link_limits& limits) : limits_(limits), wait_(limits.resend_after) {
    TROUPE_CHECK(limits.frames_max > 0 && limits.resend_burst > 0);
    TROUPE_CHECK(limits.resend_after > duration::zero());
  }

  // Takes the frame and gives it the next number; the caller sends it. `exhausted` without credit.
  // A frame larger than bytes_max goes alone.
  result<uint64_t> offer(T frame, uint64_t bytes, time_point now);
  // Every frame up to this number has been taken by the peer. Numbers never offered are ignored.
  void acknowledge(uint64_t upto, time_point now);
  // Frames whose acknowledgement is overdue, in order, to be sent again now. The pointers hold
  // until the next acknowledge().
  std::vector<std::pair<uint64_t, const T*>> overdue(time_point now);
  // When overdue() may next have something; absent when nothing is under way.
  std::optional<time_point> next_due() const;

  // Frames offer() would still take, as far as their number decides; bytes may allow fewer.
  uint32_t credit() const;
  // Whether offer() would take a frame of this size.
  bool takes(uint64_t bytes) const;
  uint32_t under_way() const { return static_cast<uint32_t>(frames_.size()); } // not acknowledged
  uint64_t bytes_under_way() const { return bytes_; }
  uint64_t resent() const { return resent_; }    // so far
  uint64_t last_number() const { return last_; } // highest number given; 0: none yet

private:
  struct entry {
    T frame;
    uint64_t bytes;
    time_point sent;
  };

  link_limits limits_;
  std::deque<entry> frames_; // the last is number last_
  uint64_t last_ = 0;
  uint64_t bytes_ = 0;
  uint64_t resent_ = 0;
  duration wait_;    // grows while nothing is acknowledged
  time_point due_{}; // one timer for the link: in-order delivery waits for the oldest frame anyway
};

// Frames come out in order, each once.
template <class T>
class link_receiver {
public:
  explicit link_receiver(const link_limits& limits) : limits_(limits) {}

  enum class verdict : uint8_t { kept, repeated, beyond_window };
  // A frame has come in. Early ones are kept until those before them are there. A repeated one
  // means that the acknowledgement got lost: tell it again.
  verdict receive(uint64_t number, T frame);
  // The next frame in order, if it is there; stays until take().
  const T* front() const;
  T take();
  // Everything up to this number has been taken: what to tell the sender.
  uint64_t acknowledgement() const;
  uint32_t waiting() const { return static_cast<uint32_t>(kept_.size()); } // kept and not taken

private:
  link_limits limits_;
  std::map<uint64_t, T> kept_; // by number, at most frames_max
  uint64_t taken_ = 0;
};

template <class T>
result<uint64_t> link_sender<T>::offer(T frame, uint64_t bytes, time_point now) {
  if (!takes(bytes))
    return fail(status_code::exhausted,
                text("the link has ", frames_.size(), " frames and ", bytes_, " bytes under way"));
  if (frames_.empty()) {
    wait_ = limits_.resend_after;
    due_ = now + wait_;
  }
  frames_.push_back({std::move(frame), bytes, now});
  bytes_ += bytes;
  return ++last_;
}

template <class T>
void link_sender<T>::acknowledge(uint64_t upto, time_point now) {
  const uint64_t acknowledged = last_ - frames_.size();
  if (upto <= acknowledged || upto > last_) return;
  for (uint64_t n = acknowledged; n < upto; ++n) {
    bytes_ -= frames_.front().bytes;
    frames_.pop_front();
  }
  wait_ = limits_.resend_after;
  due_ = now + wait_;
}

template <class T>
std::vector<std::pair<uint64_t, const T*>> link_sender<T>::overdue(time_point now) {
  std::vector<std::pair<uint64_t, const T*>> again;
  if (frames_.empty() || now < due_) return again;
  const size_t burst = std::min<size_t>(frames_.size(), limits_.resend_burst);
  for (size_t n = 0; n < burst; ++n) {
    entry& e = frames_[n];
    if (now - e.sent < limits_.resend_after) break; // those behind are younger still
    e.sent = now;
    again.emplace_back(last_ - frames_.size() + 1 + n, &e.frame);
  }
  resent_ += again.size();
  wait_ = wait_ > limits_.resend_max / 2 ? limits_.resend_max : wait_ * 2;
  due_ = now + wait_;
  return again;
}

template <class T>
std::optional<time_point> link_sender<T>::next_due() const {
  if (frames_.empty()) return {};
  return due_;
}

template <class T>
bool link_sender<T>::takes(uint64_t bytes) const {
  const uint64_t room = limits_.bytes_max - std::min(bytes_, limits_.bytes_max);
  return frames_.size() < limits_.frames_max && (frames_.empty() || bytes <= room);
}

template <class T>
uint32_t link_sender<T>::credit() const {
  if (!frames_.empty() && bytes_ >= limits_.bytes_max) return 0;
  return limits_.frames_max - under_way();
}

template <class T>
typename link_receiver<T>::verdict link_receiver<T>::receive(uint64_t number, T frame) {
  if (number <= taken_ && !TROUPE_MUTANT(link_no_dedupe)) return verdict::repeated;
  if (number > taken_ + limits_.frames_max) return verdict::beyond_window;
  const bool is_new = kept_.emplace(number, std::move(frame)).second;
  return is_new ? verdict::kept : verdict::repeated;
}

template <class T>
const T* link_receiver<T>::front() const {
  if (kept_.empty() || kept_.begin()->first > taken_ + 1) return nullptr;
  return &kept_.begin()->second;
}

template <class T>
T link_receiver<T>::take() {
  TROUPE_CHECK(front() != nullptr);
  auto first = kept_.extract(kept_.begin());
  taken_ = std::max(taken_, first.key());
  return std::move(first.mapped());
}

template <class T>
uint64_t link_receiver<T>::acknowledgement() const {
  if (TROUPE_MUTANT(link_ack_early) && !kept_.empty()) return kept_.rbegin()->first;
  return taken_;
}

} // namespace troupe::dataflow
