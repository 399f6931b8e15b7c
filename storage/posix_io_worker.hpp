// The thread that waits for disks.
#pragma once

#include "storage/io_worker.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>

namespace troupe::storage {

class posix_io_worker final : public io_worker {
public:
  // jobs_max: accepted and not yet begun. A job must not wait for another one.
  explicit posix_io_worker(size_t jobs_max = 1024);
  posix_io_worker(const posix_io_worker&) = delete;
  posix_io_worker& operator=(const posix_io_worker&) = delete;
  // Returns when every accepted job is done and has said so. Nobody may submit any more.
  ~posix_io_worker() override;

  status submit(job work, completion done) override;

private:
  struct task {
    job work;
    completion done;
  };
  void run();

  const size_t jobs_max_;
  std::mutex mutex_; // of the next three
  std::condition_variable something_to_do_;
  std::deque<task> waiting_;
  bool closing_ = false;
  std::thread thread_; // last: it uses all of the above
};

} // namespace troupe::storage
