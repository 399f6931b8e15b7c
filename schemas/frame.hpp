// A frame between two nodes as a plain struct. Control messages and tensors take the same path: a
// small header, and for tensors rows of f32 behind it.
#pragma once

#include "schemas/cluster_messages.hpp"
#include "schemas/journal_messages.hpp"
#include "schemas/pipeline_messages.hpp"

#include <cstdint>
#include <variant>

namespace troupe::schemas {

// Numbers, like everything in frame.capnp, are only ever appended. monostate: nothing but an
// acknowledgement.
using frame_body =
    std::variant<std::monostate, node_report, register_prepare, register_promise, register_accept,
                 register_accepted, register_recover, register_recovered, state_update,
                 stage_forward, stage_done, shard_forward, shard_done, step_failure, submission,
                 choice_end, emission, request_failure, journal_entry, journal_answer>;

struct frame_header {
  node_index source = no_node;
  uint64_t source_incarnation = 0;
  node_index target = no_node;
  uint64_t target_incarnation = 0; // 0: whichever there is
  uint64_t epoch = 0;              // of the placement the sender acted on
  uint64_t link_number = 0;        // from 1, in order; 0: not part of the ordered link
  uint64_t link_ack = 0;           // every numbered frame up to this one has been taken
  // The payload: rows x columns of f32.
  uint32_t rows = 0;
  uint32_t columns = 0;
  uint64_t payload_checksum = 0; // checksum_of(payload)
  frame_body body;
  friend bool operator==(const frame_header&, const frame_header&) = default;

  uint64_t payload_bytes() const { return uint64_t{4} * rows * columns; }
};

} // namespace troupe::schemas
