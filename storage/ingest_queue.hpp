// Many clients before one log of ingest: what comes while the disk works is written together next.
#pragma once

#include "base/status.hpp"
#include "storage/ingest_log.hpp"
#include "storage/io_worker.hpp"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace troupe::storage {

// Any thread may call anything.
class ingest_queue {
public:
  using put_done = std::function<void(const result<ingest_receipt>&)>;

  // The worker outlives the queue. As many bytes of text wait at most.
  ingest_queue(std::unique_ptr<ingest_log> log, io_worker& worker,
               uint64_t bytes_max = uint64_t{64} << 20);
  // Waits for what is being written.
  ~ingest_queue();
  ingest_queue(const ingest_queue&) = delete;
  ingest_queue& operator=(const ingest_queue&) = delete;

  // `done` is called once, maybe at once, on the caller's or the worker's thread, and must not
  // block: a receipt when the batch is on the disk; `exhausted` when too much waits or the log is
  // full; `unavailable` when the disk fails; `invalid_argument` when the batch is beyond the
  // limits.
  void put(schemas::ingest_batch batch, put_done done);

  ingest_log_counters counters();

private:
  struct waiting {
    schemas::ingest_batch batch;
    put_done done;
    uint64_t bytes = 0;
  };
  using lot = std::vector<waiting>;

  void begin_lot(std::unique_lock<std::mutex> lock);
  status write(lot& batches);

  const std::unique_ptr<ingest_log> log_; // of the one job that runs at a time
  io_worker& worker_;
  const uint64_t bytes_max_;

  std::mutex mutex_; // of what follows
  std::condition_variable idle_;
  lot waiting_;
  uint64_t waiting_bytes_ = 0; // of those being written, too
  bool writing_ = false;
  uint64_t turned_away_ = 0;
  ingest_log_counters counters_;
};

} // namespace troupe::storage
