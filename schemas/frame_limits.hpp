// How large a frame and each list in it may be.
#pragma once

#include <cstddef>
#include <cstdint>

namespace troupe::schemas {

// Beyond these a frame is refused, when written and when read.
struct frame_limits {
  size_t header_bytes_max = size_t{8} << 20; // everything but the payload
  uint64_t payload_bytes_max = uint64_t{1} << 30;
  uint32_t columns_max = 1 << 20;  // of the payload
  size_t rows_max = 1 << 16;       // of the payload, and of a step
  size_t nodes_max = 4096;         // of the cluster
  size_t stages_max = 4096;        // of a pipeline
  size_t shards_max = 4096;        // of a pipeline
  size_t experts_max = 1 << 16;    // named by one shard_forward
  size_t sequences_max = 1 << 16;  // of a step
  size_t pages_max = 1 << 20;      // of all sequences of a step together
  size_t tokens_max = 1 << 20;     // of a prompt, and of what a choice has got so far
  size_t choices_max = 1024;       // of a request
  size_t biases_max = 1 << 16;     // of a request; also its stop ids
  size_t entries_max = 1 << 16;    // of an emission
  size_t alternatives_max = 1024;  // to one token
  size_t text_bytes_max = 1 << 16; // of an id, a salt, a reason
  size_t constraint_bytes_max = 1 << 18;
  size_t journal_entry_bytes_max = (size_t{4} << 20) + (64 << 10); // a body as HTTP allows it
};

} // namespace troupe::schemas
