// Draws of the simulated parts: who uses which stream, and the distributions, in integers only so
// that every machine and compiler draws the same.
#pragma once

#include "base/clock.hpp"
#include "base/random.hpp"

#include <cstdint>

namespace troupe::simulations {

// Entity numbers of the keyed streams. Below `network`, entities of the subsystem `faults` are free
// for others (plans). Numbers are part of what a seed means.
namespace draw_entity {
// of random_subsystem::scheduling
inline constexpr uint32_t portfolio = 1;
inline constexpr uint32_t change_points = 2;
inline constexpr uint32_t picks = 3;
inline constexpr uint32_t overlaps = 4;
inline constexpr uint32_t priorities = 0x1000; // + machine
// of random_subsystem::faults
inline constexpr uint32_t network = 0x10000000; // + from * 4096 + to
inline constexpr uint32_t disk = 0x20000000;    // + machine
inline constexpr uint32_t disk_crash = 0x21000000;
inline constexpr uint32_t disk_latency = 0x22000000;
inline constexpr uint32_t disk_damage = 0x23000000;
inline constexpr uint32_t device = 0x30000000;  // + machine
inline constexpr uint32_t goodbye = 0x40000000; // + machine
} // namespace draw_entity

// True with the given rate, from 32 random bits.
constexpr bool strikes(uint32_t bits, uint32_t ppm) {
  return (uint64_t{bits} * 1'000'000 >> 32) < ppm;
}

// Uniform in [0, bound) from 32 random bits.
constexpr uint64_t below(uint32_t bits, uint64_t bound) {
  __extension__ using wide = unsigned __int128;
  return static_cast<uint64_t>(wide{bits} * bound >> 32);
}

// log2(x) in units of 2^-32, for x > 0, to about 20 bits behind the point.
uint64_t log2_fixed(uint64_t x);

// Exponential with this mean, from 32 random bits: at most 23 means. 0 for a mean of 0 or less.
duration exponential(uint32_t bits, duration mean);

} // namespace troupe::simulations
