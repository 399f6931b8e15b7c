// The threads that share every kernel of a device: the caller and its helpers.
#pragma once

#include "compute/part_meter.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace troupe::compute {

// Runs one piece of work cut into as many shares as there are threads. Between runs the helpers
// spin for a short while, so that the kernels of one step need no wake-ups, and then sleep. The
// caller also takes the shares of helpers that have not begun, so a busy or sleeping helper never
// holds up a run. One caller at a time; which thread takes which share must not matter to the
// result.
class thread_team {
public:
  // The meter, where there is one, is told how long runs wait for helpers, and must outlive the
  // team.
  explicit thread_team(uint32_t threads, part_meter* meter = nullptr);
  ~thread_team();
  thread_team(const thread_team&) = delete;
  thread_team& operator=(const thread_team&) = delete;

  uint32_t size() const { return size_; }

  // body(share) for every share in [0, size()); returns when all have returned. The body must not
  // call run.
  template <class Body>
  void run(Body&& body) {
    if (size_ == 1) {
      body(uint32_t{0});
      return;
    }
    using body_type = std::remove_reference_t<Body>;
    run_erased([](void* context, uint32_t share) { (*static_cast<body_type*>(context))(share); },
               const_cast<void*>(static_cast<const void*>(&body)));
  }

private:
  using function = void (*)(void* context, uint32_t share);
  // One cache line a share, so that claiming one disturbs nobody.
  struct alignas(64) claim {
    std::atomic<uint32_t> epoch{0};
  };

  void run_erased(function work, void* context);
  void help(uint32_t share);
  bool try_share(uint32_t share, uint32_t epoch);
  uint32_t next_epoch(uint32_t seen);
  void await_shares();

  const uint32_t size_;
  part_meter* const meter_;
  // The current piece of work: written before epoch_ is raised, read only by who claimed a share of
  // that epoch, which keeps the run from returning.
  function work_ = nullptr;
  void* context_ = nullptr;
  std::unique_ptr<claim[]> claims_;
  alignas(64) std::atomic<uint32_t> epoch_{0};
  alignas(64) std::atomic<uint32_t> unfinished_{0};
  alignas(64) std::atomic<uint32_t> sleepers_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> helpers_;
};

// Number of processors this process may use.
uint32_t processors_allowed();

} // namespace troupe::compute
