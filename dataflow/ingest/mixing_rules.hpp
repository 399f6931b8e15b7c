// Which of the waiting documents is learnt from next. Documents wait in a window of the log; the
// rules give the order within it and drop nothing.
#pragma once

#include "schemas/learning_stream_state.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::dataflow {

enum class curriculum : uint8_t {
  none,       // as they came
  length,     // the shortest first
  difficulty, // the easiest to read first (text_measures::difficulty)
};

struct mixing_settings {
  // How often a domain comes, against the others; where not said, 1. In millionths.
  std::map<std::string, uint64_t, std::less<>> weights = {};
  // How the share of a domain depends on the documents it has sent, n: as n to this power, in
  // thousandths. 1000: as they come; 0: all domains alike.
  uint32_t temperature = 1000;
  curriculum order = curriculum::none;
  uint32_t window = 64;

  // Whether there is anything to draw; if not, the oldest is next.
  bool draws_domains() const { return !weights.empty() || temperature != 1000; }
  std::string summary() const;
};

inline constexpr uint64_t weight_one = 1'000'000;

struct waiting_document {
  schemas::learning_document document = {};
  std::vector<int32_t> tokens = {};
  uint64_t difficulty = 0;
};

// x to the power of `thousandths` / 1000, by square roots and products alone, which IEEE 754 fixes
// to the bit; math libraries differ in the last ones.
double fixed_power(double x, uint32_t thousandths);

struct mixing_choice {
  size_t index = 0;  // among the waiting
  bool drew = false; // the n-th draw was used
};

// The next of `waiting` (in the order of their coming, at least one). `accepted`: documents of each
// domain so far. A document that has been passed over for four windows is the next, so that none
// waits for ever.
mixing_choice choose_next(const std::vector<waiting_document>& waiting,
                          const std::map<std::string, uint64_t, std::less<>>& accepted,
                          const mixing_settings& settings, uint64_t seed, uint64_t n);

} // namespace troupe::dataflow
