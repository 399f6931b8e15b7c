// Where a process keeps its KV pages beyond its own life.
#pragma once

#include "storage/disk.hpp"
#include "storage/io_worker.hpp"

#include <cstdint>
#include <memory>

namespace troupe::actors {

// Without a disk nothing is kept.
struct kv_persistence {
  std::unique_ptr<storage::disk> disk;
  std::unique_ptr<storage::io_worker> worker; // its last job is done before the disk goes
  uint64_t bytes_max = 0;
};

} // namespace troupe::actors
