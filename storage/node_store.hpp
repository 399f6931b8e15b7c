// How often a node has started, on its disk, so that no two of its lives are taken for one.
#pragma once

#include "storage/disk.hpp"

#include <cstdint>

namespace troupe::storage {

// Calls wait for the disk; one at a time.
class node_store {
public:
  explicit node_store(disk& folder) : folder_(folder) {} // must outlive this

  // The incarnation stored last. not_found: none was ever stored here. corrupt: there is a file,
  // and it is not what was stored.
  result<uint64_t> load();
  // When this is ok the number outlives a crash.
  status store(uint64_t incarnation);

  // For a node that starts: one more than the last time, 1 for the first, and already stored. A
  // corrupt file is an error: a number that was used before would make the node its own ghost.
  result<uint64_t> next_incarnation();

private:
  disk& folder_;
};

} // namespace troupe::storage
