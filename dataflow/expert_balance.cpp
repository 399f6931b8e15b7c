// Counting and comparing.
#include "dataflow/expert_balance.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <numeric>

namespace troupe::dataflow {

uint64_t expert_load::total() const {
  return std::accumulate(rows.begin(), rows.end(), uint64_t{0});
}

void expert_load::add(std::span<const uint64_t> more) {
  rows.resize(std::max(rows.size(), more.size()));
  for (size_t e = 0; e < more.size(); ++e) rows[e] += more[e];
}

double expert_load::imbalance() const {
  const uint64_t all = total();
  if (all == 0) return 0;
  const uint64_t most = *std::max_element(rows.begin(), rows.end());
  return static_cast<double>(most * rows.size()) / static_cast<double>(all) - 1;
}

uint32_t expert_load::idle() const {
  return static_cast<uint32_t>(std::count(rows.begin(), rows.end(), uint64_t{0}));
}

void move_selection_bias(std::span<float> bias, const expert_load& load, float speed) {
  TROUPE_CHECK(bias.size() == load.rows.size());
  const uint64_t all = load.total(), experts = bias.size();
  for (size_t e = 0; e < experts; ++e) {
    const uint64_t mine = load.rows[e] * experts;
    if (mine < all) bias[e] = bias[e] + speed;
    if (mine > all) bias[e] = bias[e] - speed;
  }
}

} // namespace troupe::dataflow
