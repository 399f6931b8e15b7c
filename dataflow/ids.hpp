// The numbers by which parts speak of the same thing.
#pragma once

#include <cstdint>

namespace troupe::dataflow {

// One stream of one request (a choice); unique for the life of a sequencer, never reused.
using sequence_id = uint64_t;

} // namespace troupe::dataflow
