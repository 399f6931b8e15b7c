// The queue of jobs and its owner.
#include "compute/cpu/job_queue.hpp"

#include "base/text.hpp"
#include "compute/job_notice.hpp"

#include <utility>

namespace troupe::compute {

status job_queue::submit(entry next) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= jobs_max_) {
      return status(status_code::exhausted, text(jobs_max_, " jobs already wait for this device"));
    }
    waiting_.push_back(std::move(next));
    if (owned_) return {};
    owned_ = true;
  }
  entry current;
  while (take(current)) {
    give_job_notice();
    current.work();
    current.done(status());
    current = entry{}; // captures end here, outside of the lock
  }
  return {};
}

// The next entry; without one the caller stops being the owner.
bool job_queue::take(entry& next) {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) {
    owned_ = false;
    return false;
  }
  next = std::move(waiting_.front());
  waiting_.pop_front();
  return true;
}

} // namespace troupe::compute
