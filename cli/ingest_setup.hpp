// The folder in which a log of documents to learn from lives, and who may open what of it: `log`
// belongs to the one process that writes, `learner` to the one that learns.
#pragma once

#include "cli/settings.hpp"
#include "storage/ingest_log.hpp"
#include "storage/ingest_queue.hpp"
#include "storage/posix_disk.hpp"
#include "storage/posix_io_worker.hpp"

#include <functional>
#include <memory>
#include <string>

namespace troupe::cli {

std::string ingest_log_folder(const std::string& folder);
std::string ingest_learner_folder(const std::string& folder);

// Torn down from the bottom up.
struct open_ingest_log {
  std::unique_ptr<storage::posix_disk> disk;
  std::unique_ptr<storage::ingest_log> log;
};
// Made when it is missing. `unavailable` when another process writes it.
result<open_ingest_log> open_ingest(const std::string& folder, uint64_t bytes_max);

// The same behind a queue, for many clients. What shares the queue ends before.
struct running_ingest {
  std::unique_ptr<storage::posix_disk> disk;
  std::unique_ptr<storage::posix_io_worker> worker;
  std::shared_ptr<storage::ingest_queue> queue; // shared with the server; none: nothing is taken in
};
result<running_ingest> start_ingest(const std::string& folder, uint64_t bytes_max);

} // namespace troupe::cli
