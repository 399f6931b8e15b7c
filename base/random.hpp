// Counter-based keyed randomness: the n-th draw of a key is a pure function of (key, n), so a draw
// neither depends on nor disturbs any other. Philox4x32-10 of Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3" (SC 2011).
#pragma once

#include <array>
#include <cstdint>

namespace troupe {

// Who draws for what. Append only: the numbers are part of what a seed means.
enum class random_subsystem : uint32_t {
  sampling = 1,   // entity: choice index of the request, n: token position
  scheduling = 2, // simulated interleavings
  faults = 3,
  workload = 4,
  weights = 5,  // synthetic checkpoints
  learning = 6, // what is learnt from and in which order
};

struct random_key {
  uint64_t seed = 0;
  random_subsystem subsystem = random_subsystem::sampling;
  uint32_t entity = 0;
};

// Four words of block n of the key.
std::array<uint32_t, 4> random_block(const random_key& key, uint64_t n);

// 64 random bits, the n-th use of the key.
uint64_t random_bits(const random_key& key, uint64_t n);

// Uniform in [0, 1), a multiple of 2^-24 so that it is exact in f32.
float random_unit(const random_key& key, uint64_t n);

// Uniform in [0, bound); bound > 0.
uint64_t random_below(const random_key& key, uint64_t n, uint64_t bound);

// The only place of the program that reads entropy of the machine: for seeds nobody asked for.
uint64_t entropy_seed();

} // namespace troupe
