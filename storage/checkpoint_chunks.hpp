// How the parts of a checkpoint are cut into chunks: so that a part that stays the same leaves the
// chunks of the others alone, and so that many small parts do not become as many files.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace troupe::storage {

struct checkpoint_part {
  std::string name; // unique among the parts of a checkpoint
  std::span<const std::byte> bytes;
};

struct chunk_sizes {
  size_t piece_bytes = size_t{4} << 20;  // of a large part, at most
  size_t alone_bytes = size_t{64} << 10; // a part from this size on shares no chunk …
  size_t pool_bytes = size_t{1} << 20;   // … smaller neighbours share one, up to here
};

// Chunks in order; the first failure of the sink ends it. Bytes are valid during the call.
using chunk_sink = std::function<status(std::span<const std::byte>)>;
status cut_into_chunks(std::span<const checkpoint_part> parts, const chunk_sizes& sizes,
                       const chunk_sink& to);

} // namespace troupe::storage
