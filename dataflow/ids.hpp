// The numbers by which parts speak of the same thing.
#pragma once

#include <cstdint>

namespace troupe::dataflow {

// One stream of one request (a choice); unique for the life of a sequencer, never reused.
using sequence_id = uint64_t;

// One request; unique in the life of a cluster, since it names the door it came in by and that
// door's start. A node on its own is door 0 of start 0.
using request_id = uint64_t;

inline constexpr uint32_t doors_max = 1 << 12;

// `start` and `count` may wrap: by then nobody remembers the first ones.
constexpr request_id make_request_id(uint32_t door, uint64_t start, uint64_t count) {
  return uint64_t{door} << 52 | (start & 0xfffff) << 32 | (count & 0xffffffff);
}
constexpr uint32_t door_of(request_id id) {
  return static_cast<uint32_t>(id >> 52);
}

} // namespace troupe::dataflow
