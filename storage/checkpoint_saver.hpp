// Writes checkpoints while the next steps run: parts are copied at a step's boundary and go to the
// folder on an io_worker. One is under way at a time.
#pragma once

#include "storage/checkpoint_store.hpp"
#include "storage/io_worker.hpp"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace troupe::storage {

// How an attempt ended.
struct checkpoint_outcome {
  uint64_t step = 0;
  checkpoint_written written; // when `failure` is ok
  checkpoint_pruned pruned;
  status failure;       // of writing: the checkpoint does not exist
  status prune_failure; // the checkpoint exists, and so does what should have gone
};

struct saver_options {
  checkpoint_retention keep;
  std::chrono::seconds patience{600}; // with a disk that does not answer
};

// One thread; the store is the worker's from a save() until its outcome.
class checkpoint_saver {
public:
  // Both must outlive this, and the store also the worker.
  checkpoint_saver(checkpoint_store& store, io_worker& worker, const saver_options& options);

  // Copies the parts and returns; waits first while an earlier one is still being written. Fails
  // when that takes too long or the worker has no room; outcomes tell of everything else.
  status save(const checkpoint_info& info, std::span<const checkpoint_part> parts);
  // Waits for what is under way.
  status finish();
  // Of attempts that have ended since the last call.
  std::vector<checkpoint_outcome> take_outcomes();
  uint64_t waits() const { return waits_; } // how often two checkpoints met

private:
  // The copy, the job's while it is busy. Owned by this and by the job under way, which may outlive
  // this.
  struct shared_state {
    checkpoint_info info;
    std::vector<std::byte> bytes;
    std::vector<checkpoint_part> parts;

    std::mutex mutex; // of the rest
    std::condition_variable ended;
    bool busy = false;
    std::vector<checkpoint_outcome> outcomes;
  };
  static checkpoint_outcome write(const shared_state& copy, checkpoint_store& store,
                                  const checkpoint_retention& keep);
  status submit();
  status wait_until_idle();

  checkpoint_store& store_;
  io_worker& worker_;
  const saver_options options_;
  const std::shared_ptr<shared_state> state_;
  uint64_t waits_ = 0;
};

} // namespace troupe::storage
