// What nodes tell each other about the requests they keep, so that a client may come back to any of
// them. Plain structs; their bytes are made in frame_codec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::schemas {

// A request whose answer is being streamed by the sender, as its journal encodes it. Whoever keeps
// entries says with a journal_answer whether it keeps this one.
struct journal_entry {
  uint64_t number = 0; // the sender's, of this incarnation
  std::vector<std::byte> bytes;
  friend bool operator==(const journal_entry&, const journal_entry&) = default;
};

struct journal_answer {
  uint64_t number = 0; // of the entry, as its sender gave it
  bool kept = false;
  friend bool operator==(const journal_answer&, const journal_answer&) = default;
};

} // namespace troupe::schemas
