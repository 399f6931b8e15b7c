// Who draws for what in a learning stream. The numbers are part of what a seed means.
#pragma once

#include "base/random.hpp"

#include <cstdint>

namespace troupe::dataflow {

enum class learning_draw : uint32_t {
  domain = 1,          // of the next new document
  replayed = 2,        // two for each document that is replayed
  replayed_piece = 3,  // where in it
  kept = 1 << 16,      // plus the number of the sample: what it keeps
  kept_part = 1 << 17, // plus that: of a long document
};

inline random_key learning_key(uint64_t seed, learning_draw draw, uint32_t plus = 0) {
  return {.seed = seed,
          .subsystem = random_subsystem::learning,
          .entity = static_cast<uint32_t>(draw) + plus};
}

} // namespace troupe::dataflow
