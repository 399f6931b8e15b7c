// Where blocking file work is done, so that no actor waits for a disk.
#pragma once

#include "base/status.hpp"

#include <functional>

namespace troupe::storage {

// Jobs run one after another in the order of their submission; `done` is called once per accepted
// job, on the worker's thread, must not block, and usually sends one message.
class io_worker {
public:
  using job = std::function<status()>;
  using completion = std::function<void(const status&)>;

  virtual ~io_worker() = default;
  // Fails with `exhausted` when too many jobs wait, and then `done` is never called. Any thread.
  virtual status submit(job work, completion done) = 0;
};

} // namespace troupe::storage
