// Which ready message is handled next.
#pragma once

#include "base/random.hpp"
#include "base/status.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::simulations {

// fifo: oldest first. random: uniform. pct: random priorities of actors with a few random drops
// (Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs",
// ASPLOS 2010). delay: fifo with a bounded number of random delays (Emmi, Qadeer, Rakamaric,
// "Delay-bounded scheduling", POPL 2011). overlap: uniform, and an actor that a message wakes may
// handle it at once, in the middle of the sender's own message, as on another thread. portfolio:
// one of these, by seed.
enum class strategy_kind : uint8_t { fifo, random, pct, delay, overlap, portfolio };
std::string_view to_string(strategy_kind kind);
result<strategy_kind> parse_strategy(std::string_view name);

struct strategy_options {
  strategy_kind kind = strategy_kind::portfolio;
  uint32_t changes = 3;      // pct: priority drops; delay: delays
  uint64_t horizon = 20'000; // events over which they are spread
};

// The kind a portfolio stands for with this seed; others stand for themselves.
strategy_kind resolve(strategy_kind kind, uint64_t seed);

} // namespace troupe::simulations
