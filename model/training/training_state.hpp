// What a training run must not lose, as named arrays: checkpoints keep them, nodes hand them to one
// another, and their hash says whether two runs are the same.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace troupe::model {

// One array: f32 or fixed-width integers, little-endian. Names are unique and stable:
// "value/<parameter>", "first/<parameter>", "second/<parameter>" (the optimiser's moments),
// "bias/<layer>" (of the choice of experts), "run", "data/<part>".
struct state_part {
  std::string name;
  std::span<const std::byte> bytes; // valid until the run changes
};

// Over names and bytes of all parts in their order; the same on every machine.
uint64_t hash_of(std::span<const state_part> parts);
std::string hash_text(uint64_t hash); // 16 hexadecimal digits

// Whether `given` has a part of the same name and size for each of `wanted` and nothing else, in
// whatever order; the message names the first that is missing, unknown, twice there or too long.
status check_parts(std::span<const state_part> given, std::span<const state_part> wanted);
// Null when it is not there.
const state_part* find_part(std::span<const state_part> parts, const std::string& name);

} // namespace troupe::model
