// A queue and a thread; the lock is never held while a job or a completion runs.
#include "storage/posix_io_worker.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <utility>

namespace troupe::storage {

posix_io_worker::posix_io_worker(size_t jobs_max)
    : jobs_max_(jobs_max), thread_([this] { run(); }) {
  TROUPE_CHECK(jobs_max > 0);
}

posix_io_worker::~posix_io_worker() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  something_to_do_.notify_one();
  thread_.join();
}

status posix_io_worker::submit(job work, completion done) {
  {
    const std::lock_guard lock(mutex_);
    TROUPE_CHECK(!closing_);
    if (waiting_.size() >= jobs_max_)
      return status(status_code::exhausted,
                    text("the disk is too slow: ", jobs_max_, " jobs wait for it"));
    waiting_.push_back({std::move(work), std::move(done)});
  }
  something_to_do_.notify_one();
  return {};
}

void posix_io_worker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    something_to_do_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    {
      const task next = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      next.done(next.work());
    } // what the job held is let go without the lock
    lock.lock();
  }
}

} // namespace troupe::storage
