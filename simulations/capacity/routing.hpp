// How tokens spread over experts: in every layer a Zipf distribution over a shuffled order, whose
// hot set drifts. No public routing trace was verified, so exponent and drift are assumptions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::simulations::capacity {

struct routing_options {
  double skew = 0.5;        // Zipf exponent; 0: all experts alike
  double drift_s = 60;      // the hot set moves this often; 0: never
  double moved_share = 0.1; // of the experts change places then
};

class routing {
public:
  routing(uint32_t layers, uint32_t experts, uint32_t top_k, const routing_options& options,
          uint64_t seed);

  // Probability that a token goes to the expert; sums to top_k over a layer.
  double probability(uint32_t layer, uint32_t expert) const {
    return probabilities_[size_t{layer} * experts_ + expert];
  }
  // The next hot set.
  void drift();
  uint32_t experts() const { return experts_; }

private:
  void fill();

  uint32_t layers_, experts_;
  routing_options options_;
  uint64_t seed_;
  uint32_t period_ = 0;
  std::vector<double> by_rank_;
  std::vector<uint32_t> rank_; // [layer][expert]
  std::vector<double> probabilities_;
};

} // namespace troupe::simulations::capacity
