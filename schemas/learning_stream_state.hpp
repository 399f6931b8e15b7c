// Everything on which the next batches of a learning stream depend besides log and settings. Plain
// structs; their bytes are made in learning_codec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe::schemas {

struct learning_document {
  uint64_t offset = 0; // in the log
  std::string id;
  std::string domain;
  std::string text;

  friend bool operator==(const learning_document&, const learning_document&) = default;
};

// Cut for training and not yet handed out.
struct learning_piece {
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;
  uint64_t bytes = 0; // of text

  friend bool operator==(const learning_piece&, const learning_piece&) = default;
};

struct learning_reservoir {
  std::string domain; // empty: of all
  uint64_t offered = 0;
  // By slot. A slot without text is one whose document was erased.
  std::vector<learning_document> slots;

  friend bool operator==(const learning_reservoir&, const learning_reservoir&) = default;
};

struct seen_fingerprint {
  uint64_t exact = 0;
  uint64_t similar = 0;
  uint64_t offset = 0;

  friend bool operator==(const seen_fingerprint&, const seen_fingerprint&) = default;
};

struct named_count {
  std::string name;
  uint64_t count = 0;

  friend bool operator==(const named_count&, const named_count&) = default;
};

struct learning_stream_state {
  std::string settings; // that the stream was made with
  uint64_t cursor = 0;  // offset of the next document to look at
  uint64_t limit = 0;   // none beyond this one belongs to the run; 0: there is no end
  uint64_t accepted = 0;
  uint64_t batches = 0;
  uint64_t domain_draws = 0;
  uint64_t replay_draws = 0;
  uint64_t tokens_dealt = 0; // in batches with something to replay
  uint64_t tokens_replayed = 0;
  std::vector<learning_document> windowed; // in the order of their coming
  learning_document open;                  // of which a part was dealt
  uint64_t open_taken = 0;                 // its pieces that were dealt; 0: there is no such one
  std::vector<learning_piece> pending;
  std::vector<learning_reservoir> reservoirs;
  std::vector<learning_document> held_out;
  std::vector<seen_fingerprint> seen; // oldest first
  uint64_t seen_added = 0;
  std::vector<named_count> domains;    // accepted documents
  std::vector<named_count> rejections; // by reason

  friend bool operator==(const learning_stream_state&, const learning_stream_state&) = default;
};

struct learning_state_limits {
  size_t bytes_max = size_t{4} << 30;
};

} // namespace troupe::schemas
