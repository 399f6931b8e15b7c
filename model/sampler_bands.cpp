// One pass of weights over the row, then sums and cuts over the bands.
#include "model/sampler_bands.hpp"

#include "base/check.hpp"
#include "model/sampler_math.hpp"

#include <algorithm>
#include <limits>

namespace troupe::model {
namespace {

constexpr double exponent_min = -40;

double exponent(float logit, double best, double inverse_temperature) {
  return (double{logit} - best) * inverse_temperature;
}

} // namespace

weight_bands::weight_bands(std::span<const float> row, float best, double temperature)
    : row_(row), best_(best), inverse_temperature_(1 / temperature), band_of_(row.size(), no_band) {
  TROUPE_CHECK(temperature > 0);
  for (size_t id = 0; id < row.size(); ++id) {
    const double x = exponent(row[id], best_, inverse_temperature_);
    if (x < exponent_min) continue;
    const auto band = static_cast<uint32_t>(x * -bands_per_unit);
    band_of_[id] = static_cast<uint8_t>(band);
    totals_[band] += sampling_exp(x);
    ++counts_[band];
  }
}

band_cut weight_bands::all() const {
  band_cut cut{bands_max, 0, 0};
  for (const double total : totals_) cut.total += total;
  return cut;
}

band_cut weight_bands::best_count(const band_cut& within, size_t count) {
  band_cut cut;
  for (; cut.band < bands_max; ++cut.band) {
    const part here = part_of(within, cut.band, cut.total);
    if (count < here.count || cut.band == within.band) {
      cut.members = static_cast<uint32_t>(std::min<size_t>(count, here.count));
      break;
    }
    count -= here.count;
    cut.total += here.total;
  }
  if (cut.members > 0)
    for (const auto& one : members(cut.band).first(cut.members)) cut.total += one.weight;
  return cut;
}

band_cut weight_bands::best_share(const band_cut& within, double share) {
  const double target = within.total * share;
  const uint32_t last = last_band(within);
  band_cut cut;
  part here = part_of(within, 0, 0);
  while (cut.band != last && cut.total + here.total < target) {
    cut.total += here.total;
    here = part_of(within, ++cut.band, cut.total);
  }
  for (const auto& one : members(cut.band).first(here.count)) {
    cut.total += one.weight;
    ++cut.members;
    if (cut.total >= target) break;
  }
  return cut;
}

band_cut weight_bands::at_least(const band_cut& within, double weight) {
  band_cut cut;
  // Every member of a band weighs at least as much as the band's end.
  while (cut.band < within.band && sampling_exp((cut.band + 1) / -bands_per_unit) >= weight)
    cut.total += totals_[cut.band++];
  if (cut.band == bands_max) return cut;
  const uint32_t count_max = part_of(within, cut.band, cut.total).count;
  for (const auto& one : members(cut.band).first(count_max)) {
    if (one.weight < weight) break;
    cut.total += one.weight;
    ++cut.members;
  }
  return cut;
}

int32_t weight_bands::pick(const band_cut& within, double u) {
  const double target = within.total * u;
  const uint32_t last = last_band(within);
  double cumulative = 0;
  uint32_t band = 0;
  part here = part_of(within, 0, 0);
  while (band != last && cumulative + here.total <= target) {
    cumulative += here.total;
    here = part_of(within, ++band, cumulative);
  }
  const auto candidates = members(band).first(here.count);
  for (const auto& one : candidates) {
    cumulative += one.weight;
    if (cumulative > target) return one.token;
  }
  return candidates.back().token; // rounding: the sums by id and by rank differ in the last bits
}

std::vector<weighted_token> weight_bands::best(size_t count) {
  std::vector<weighted_token> out;
  for (uint32_t band = 0; band <= bands_max && out.size() < count; ++band) {
    if (band < bands_max && counts_[band] == 0) continue;
    const auto all = members(band < bands_max ? band : no_band);
    const auto taken = all.first(std::min(all.size(), count - out.size()));
    out.insert(out.end(), taken.begin(), taken.end());
  }
  return out;
}

// The last band of which the cut has a token; the best token always has a weight.
uint32_t weight_bands::last_band(const band_cut& within) const {
  uint32_t band = std::min(within.band, bands_max - 1);
  while (part_of(within, band, 0).count == 0) --band;
  return band;
}

// `before` is the total of the bands before this one.
weight_bands::part weight_bands::part_of(const band_cut& within, uint32_t band,
                                         double before) const {
  if (band < within.band) return {counts_[band], totals_[band]};
  if (band == within.band && within.members > 0) return {within.members, within.total - before};
  return {};
}

std::span<const weighted_token> weight_bands::members(uint32_t band) {
  if (held_band_ == band) return members_;
  held_band_ = band;
  members_.clear();
  for (size_t id = 0; id < row_.size(); ++id) {
    if (band_of_[id] != band || row_[id] < std::numeric_limits<float>::lowest()) continue;
    const double x = exponent(row_[id], best_, inverse_temperature_);
    members_.push_back(
        {static_cast<int32_t>(id), row_[id], x < exponent_min ? 0 : sampling_exp(x)});
  }
  std::sort(members_.begin(), members_.end(), [](const weighted_token& a, const weighted_token& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  });
  return members_;
}

} // namespace troupe::model
