// Who computes: jobs wait in one bounded queue, and whichever thread finds nobody computing becomes
// the owner and runs jobs until the queue is empty.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>

namespace troupe::compute {

class job_queue {
public:
  struct entry {
    std::function<void()> work;
    std::function<void(status)> done;
  };

  explicit job_queue(uint32_t jobs_max) : jobs_max_(jobs_max) {}

  // Queues the entry and, where nobody computes, runs the queue on this thread. Jobs run in order
  // and one at a time; `done` is called outside of the lock and may call submit, which then only
  // queues. Fails with `exhausted` when jobs_max jobs wait. Any thread.
  status submit(entry next);

private:
  bool take(entry& next);

  const uint32_t jobs_max_;
  std::mutex mutex_;
  std::deque<entry> waiting_;
  bool owned_ = false; // somebody is running jobs
};

} // namespace troupe::compute
