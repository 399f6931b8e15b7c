// The choice of experts from their scores: integers and comparisons only, apart from the sums that
// docs/numerics.md names.
#pragma once

#include "compute/kernels.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace troupe::compute {

// Chooses experts for one row after the other; keeps its lists between rows. One thread at a time.
class expert_chooser {
public:
  // `choice` are the scores plus bias and may be changed; writes top_k ids, best first.
  void choose(const router_rule& rule, std::span<float> choice, std::span<int32_t> ids);

private:
  struct ranked {
    float score = 0;
    uint32_t index = 0;
  };
  // The `count` best of `scores` where `eligible` (when given), best first; into best_.
  template <class Eligible>
  void rank(std::span<const float> scores, uint32_t count, Eligible eligible);
  void keep_groups(const router_rule& rule, std::span<float> choice);

  std::vector<ranked> best_;
  std::vector<float> group_scores_;
  std::vector<uint8_t> kept_; // by group
};

} // namespace troupe::compute
