// What a voter must never forget, on its disk. The file `votes` is only ever replaced as a whole:
// after a crash at any point it holds what it held before, or what was being stored.
#pragma once

#include "schemas/cluster_messages.hpp"
#include "storage/disk.hpp"

namespace troupe::storage {

// Calls wait for the disk, so they belong on an io_worker; one at a time.
class vote_store {
public:
  explicit vote_store(disk& folder) : folder_(folder) {} // must outlive this

  //   not_found    nothing was ever stored here: a new voter, or one that has lost its disk
  //   corrupt      there is a file, and it is not what was stored: the voter has lost its memory
  //   unsupported  of a version that this program cannot read
  // or what the disk says. What is returned is durable, even if the process that stored it did not
  // live to hear so.
  result<schemas::acceptor_state> load();

  // When this is ok the state outlives a crash. Otherwise either the earlier or this one does; the
  // voter must not act on it, and may try again.
  status store(const schemas::acceptor_state& state);

private:
  disk& folder_;
};

} // namespace troupe::storage
