// Damage to a file, keyed: the n-th damaged version of a corpus is always the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::fuzz {

// One of the seeds with one to eight changes: bits, bytes, numbers, words, pieces.
std::string mutate(const std::vector<std::string>& seeds, uint64_t seed, uint32_t round);

} // namespace troupe::fuzz
