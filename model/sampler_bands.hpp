// The weights of a row of logits, ordered from the best token down without sorting the vocabulary.
//
// The weight of a token is exp(x), x = (logit - best) / temperature, in double. Tokens fall into
// bands of equal width in x; those below the last band count as nothing. One pass sums each band by
// id; only the band in which something is decided is sorted. The canonical order is: bands from the
// best down, within a band the larger logit first, of equals the lower id.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace troupe::model {

struct weighted_token {
  int32_t token = 0;
  float logit = 0;
  double weight = 0;
};

// The tokens of a row up to a point of the canonical order: all of the bands before `band`, and the
// first `members` of this one.
struct band_cut {
  uint32_t band = 0;
  uint32_t members = 0;
  double total = 0; // weight
};

class weight_bands {
public:
  // The row must outlive this; its largest logit `best` is finite; temperature > 0.
  weight_bands(std::span<const float> row, float best, double temperature);

  // Everything that has a weight.
  band_cut all() const;
  // Each keeps of `within` the tokens up to …
  band_cut best_count(const band_cut& within, size_t count); // … so many
  band_cut best_share(const band_cut& within, double share); // … that which reaches this share
  band_cut at_least(const band_cut& within, double weight);  // … the last of this weight or more

  // The token at which the cumulative weight exceeds the fraction u of within.total.
  int32_t pick(const band_cut& within, double u);

  // The first `count` tokens, also those that count as nothing; masked ones (-infinity) never.
  std::vector<weighted_token> best(size_t count);

private:
  static constexpr double bands_per_unit = 4;
  static constexpr uint32_t bands_max = 161; // down to e^-40
  static constexpr uint8_t no_band = 255;
  // How much of a band belongs to a cut.
  struct part {
    uint32_t count = 0;
    double total = 0;
  };

  part part_of(const band_cut& within, uint32_t band, double before) const;
  uint32_t last_band(const band_cut& within) const;
  std::span<const weighted_token> members(uint32_t band);

  std::span<const float> row_;
  double best_;
  double inverse_temperature_;
  std::vector<uint8_t> band_of_; // by id
  std::array<double, bands_max> totals_{};
  std::array<uint32_t, bands_max> counts_{};
  uint32_t held_band_ = UINT32_MAX; // whose members are held, sorted
  std::vector<weighted_token> members_;
};

} // namespace troupe::model
