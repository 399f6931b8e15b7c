// Ranks are shuffled per layer and swapped in pairs as time goes by.
#include "simulations/capacity/routing.hpp"

#include "simulations/capacity/fixed_math.hpp"

#include <algorithm>
#include <numeric>

namespace troupe::simulations::capacity {
namespace {

constexpr uint32_t shuffle_stream = 1u << 20; // of random_subsystem::scheduling, plus the layer

// Zipf weights that sum to top_k with none above 1: a token goes to an expert once at most.
std::vector<double> rank_probabilities(uint32_t experts, uint32_t top_k, double skew) {
  std::vector<double> out(experts);
  for (uint32_t n = 0; n < experts; ++n) out[n] = power(n + 1.0, -skew);
  for (uint32_t certain = 0; certain < experts; ++certain) {
    double rest = 0;
    for (uint32_t n = certain; n < experts; ++n) rest += out[n];
    const double scale = (double(top_k) - certain) / rest;
    if (out[certain] * scale <= 1) {
      for (uint32_t n = certain; n < experts; ++n) out[n] *= scale;
      break;
    }
    out[certain] = 1;
  }
  return out;
}

} // namespace

routing::routing(uint32_t layers, uint32_t experts, uint32_t top_k, const routing_options& options,
                 uint64_t seed)
    : layers_(layers), experts_(experts), options_(options), seed_(seed) {
  by_rank_ = rank_probabilities(experts, std::min(top_k, experts), options.skew);
  rank_.resize(size_t{layers} * experts);
  for (uint32_t layer = 0; layer < layers; ++layer) {
    uint32_t* rank = rank_.data() + size_t{layer} * experts;
    std::iota(rank, rank + experts, 0u);
    draws draw(seed, random_subsystem::scheduling, shuffle_stream + layer);
    for (uint32_t n = experts; n > 1; --n) std::swap(rank[n - 1], rank[draw.below(n)]);
  }
  fill();
}

void routing::drift() {
  ++period_;
  const auto swaps = static_cast<uint32_t>(options_.moved_share * experts_ / 2 + 0.5);
  for (uint32_t layer = 0; layer < layers_ && experts_ > 1; ++layer) {
    const random_key key{seed_, random_subsystem::scheduling, shuffle_stream * 2 + layer};
    uint32_t* rank = rank_.data() + size_t{layer} * experts_;
    for (uint32_t n = 0; n < swaps; ++n) {
      const uint64_t use = (uint64_t{period_} << 20) + 2 * uint64_t{n};
      std::swap(rank[random_below(key, use, experts_)], rank[random_below(key, use + 1, experts_)]);
    }
  }
  fill();
}

void routing::fill() {
  probabilities_.resize(rank_.size());
  for (size_t n = 0; n < rank_.size(); ++n) probabilities_[n] = by_rank_[rank_[n]];
}

} // namespace troupe::simulations::capacity
