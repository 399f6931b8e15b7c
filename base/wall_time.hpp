// The time of day, finer than clock::wall_seconds(): for numbers that must rise from one start of a
// process to the next. The machine's own clock; a simulation hands such numbers out itself.
#pragma once

#include <cstdint>

namespace troupe {

// Milliseconds since 1970; may jump.
uint64_t wall_milliseconds();

} // namespace troupe
