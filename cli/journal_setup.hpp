// The journal of requests of a command that serves, with the disk and the thread it works with.
#pragma once

#include "base/clock.hpp"
#include "cli/serve.hpp"
#include "storage/posix_disk.hpp"
#include "storage/posix_io_worker.hpp"
#include "storage/request_journal.hpp"

#include <memory>
#include <string>

namespace troupe::cli {

// Torn down from the bottom up. The server that shares the journal ends before.
struct running_journal {
  std::unique_ptr<storage::posix_disk> disk; // none: the journal is in memory
  std::unique_ptr<storage::posix_io_worker> worker;
  std::shared_ptr<storage::request_journal> journal;
};

// In the folder "requests" of `data_dir`, which nobody else may use at the same time; in memory
// when `data_dir` is empty. The clock outlives the journal.
result<running_journal> open_journal(const std::string& data_dir, const serve_settings& settings,
                                     const clock& time);

} // namespace troupe::cli
