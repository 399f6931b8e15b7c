// A listener of an endpoint that remembers what it heard, and lets a test wait for it.
#pragma once

#include "transport/endpoint.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace troupe::tests {

class waiting_listener final : public transport::endpoint_listener {
public:
  struct frame {
    transport::node_identity from;
    std::vector<std::byte> header, payload;
    bool aligned = false; // the payload was, on a multiple of 64
  };

  void frame_received(const transport::node_identity& from, std::span<const std::byte> header,
                      std::span<const std::byte> payload) override {
    if (on_frame) on_frame(from, header, payload);
    std::lock_guard lock(mutex_);
    ++received_;
    const bool aligned = reinterpret_cast<uintptr_t>(payload.data()) % 64 == 0;
    if (keep)
      frames_.push_back(
          {from, {header.begin(), header.end()}, {payload.begin(), payload.end()}, aligned});
    changed_.notify_all();
  }
  void peer_up(const transport::node_identity& peer) override { note("up", peer); }
  void peer_down(const transport::node_identity& peer) override { note("down", peer); }

  // Until the predicate holds; it is called with the lock held. False: not in time.
  bool wait(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    // It may also look at what changes without an event here: so not only when told.
    for (int i = 0; i < 60'000 / 5; ++i) {
      if (holds()) return true;
      changed_.wait_for(lock, std::chrono::milliseconds(5));
    }
    return holds();
  }
  bool wait_event(const std::string& event) {
    return wait([&] { return count(event) > 0; });
  }
  bool wait_up(const std::string& name, uint64_t incarnation = 1) {
    return wait_event("up " + name + " " + std::to_string(incarnation));
  }
  bool wait_down(const std::string& name, uint64_t incarnation = 1) {
    return wait_event("down " + name + " " + std::to_string(incarnation));
  }
  bool wait_frames(size_t frames) {
    return wait([&] { return received_ >= frames; });
  }

  // "up a 1", "down a 1", … in order.
  std::vector<std::string> events() const {
    std::lock_guard lock(mutex_);
    return events_;
  }
  std::vector<frame> frames() const {
    std::lock_guard lock(mutex_);
    return frames_;
  }
  size_t received() const {
    std::lock_guard lock(mutex_);
    return received_;
  }

  // Set before the endpoint is opened.
  bool keep = true; // the frames
  std::function<void(const transport::node_identity&, std::span<const std::byte>,
                     std::span<const std::byte>)>
      on_frame;

private:
  size_t count(const std::string& event) const {
    size_t out = 0;
    for (const auto& each : events_) out += each == event ? 1 : 0;
    return out;
  }
  void note(const char* what, const transport::node_identity& peer) {
    std::lock_guard lock(mutex_);
    events_.push_back(std::string(what) + " " + peer.name + " " + std::to_string(peer.incarnation));
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
  std::vector<frame> frames_;
  size_t received_ = 0;
};

} // namespace troupe::tests
