// Which checkpoints may go. Pure: decides from a list, touches nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace troupe::storage {

struct checkpoint_retention {
  size_t last = 3;        // newest intact ones; at least one is always kept
  uint64_t every = 0;     // those whose step is a multiple; 0: none for this reason
  bool keep_best = false; // the one with the least score, of several the newest
};

struct retained_checkpoint {
  uint64_t step = 0;
  bool intact = false;
  std::optional<double> score;
};

// Indices of what may be removed, ascending; `list` is oldest first. A damaged checkpoint never
// counts as one that is kept, and one that is newer than the last kept stays: it is no older one's
// substitute and does no harm. Where nothing is intact, nothing is removed.
std::vector<size_t> checkpoints_to_remove(std::span<const retained_checkpoint> list,
                                          const checkpoint_retention& rule);

} // namespace troupe::storage
