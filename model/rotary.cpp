// The inverse frequencies, computed as transformers does: exponents, powers and their combinations
// are rounded to f32 at the same places, because an error of one unit grows with the position.
#include "model/rotary.hpp"

#include "base/check.hpp"
#include "compute/rotary_table.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace troupe::model {
namespace {

// base ^ (2 j / dim) for every pair j.
std::vector<float> wavelength_factors(double base, uint32_t dim) {
  std::vector<float> out(dim / 2);
  for (uint32_t j = 0; j < out.size(); ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(dim);
    out[j] = static_cast<float>(std::pow(base, static_cast<double>(exponent)));
  }
  return out;
}

std::vector<float> plain(double base, uint32_t dim) {
  auto out = wavelength_factors(base, dim);
  for (float& factor : out) factor = 1.0f / factor;
  return out;
}

double dynamic_base(const rope_spec& rope, uint32_t length) {
  const double stretched = rope.factor * length / rope.positions_max - (rope.factor - 1);
  return rope.theta * std::pow(stretched, static_cast<double>(rope.dim) / (rope.dim - 2.0));
}

// The pair that turns `rotations` times over the original context.
double correction_pair(const rope_spec& rope, double rotations) {
  return rope.dim * std::log(rope.original_positions / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.theta));
}

rotary_frequencies yarn(const rope_spec& rope) {
  double low = correction_pair(rope, rope.beta_fast), high = correction_pair(rope, rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, rope.dim - 1.0);
  if (low == high) high += 0.001;
  rotary_frequencies out;
  out.inverse = wavelength_factors(rope.theta, rope.dim);
  for (uint32_t j = 0; j < out.inverse.size(); ++j) {
    const float ramp = std::clamp(
        (static_cast<float>(j) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f,
        1.0f);
    const float kept = 1.0f - ramp;
    const float stretched = 1.0f / (static_cast<float>(rope.factor) * out.inverse[j]);
    out.inverse[j] = stretched * (1.0f - kept) + 1.0f / out.inverse[j] * kept;
  }
  const bool both = rope.mscale != 0 && rope.mscale_all_dim != 0;
  const double magnitude = both ? yarn_magnitude(rope.factor, rope.mscale) /
                                      yarn_magnitude(rope.factor, rope.mscale_all_dim)
                                : yarn_magnitude(rope.factor, 1);
  out.attention_factor = static_cast<float>(rope.attention_factor.value_or(magnitude));
  return out;
}

// Slow pairs are stretched, fast ones kept, those between the two wavelengths blended.
rotary_frequencies llama3(const rope_spec& rope) {
  rotary_frequencies out{.inverse = plain(rope.theta, rope.dim), .attention_factor = 1};
  const auto original = static_cast<float>(rope.original_positions);
  const auto low = static_cast<float>(rope.low_freq_factor),
             high = static_cast<float>(rope.high_freq_factor);
  const auto factor = static_cast<float>(rope.factor);
  for (float& inverse : out.inverse) {
    const float wavelength = 2 * std::numbers::pi_v<float> / inverse;
    if (wavelength > original / low) {
      inverse /= factor;
    } else if (!(wavelength < original / high)) {
      const float smooth = (original / wavelength - low) / (high - low);
      inverse = (1 - smooth) * inverse / factor + smooth * inverse;
    }
  }
  return out;
}

rotary_frequencies longrope(const rope_spec& rope, bool beyond) {
  rotary_frequencies out{.inverse = wavelength_factors(rope.theta, rope.dim),
                         .attention_factor = 1};
  const auto& stretch = beyond ? rope.long_factor : rope.short_factor;
  for (uint32_t j = 0; j < out.inverse.size(); ++j) {
    out.inverse[j] = 1.0f / (static_cast<float>(stretch[j]) * out.inverse[j]);
  }
  const double magnitude =
      rope.factor <= 1 ? 1
                       : std::sqrt(1 + std::log(rope.factor) / std::log(rope.original_positions));
  out.attention_factor = static_cast<float>(rope.attention_factor.value_or(magnitude));
  return out;
}

compute::matrix_view rows_of(const compute::buffer& memory, uint32_t rows, uint32_t cols) {
  return {.data = memory.as<float>().data(), .rows = rows, .cols = cols, .stride = cols};
}

} // namespace

double yarn_magnitude(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

uint32_t rope_variant(const rope_spec& rope, uint32_t length) {
  if (rope.kind == rope_kind::dynamic) return length > rope.positions_max ? length : 0;
  if (rope.kind == rope_kind::longrope) return length > rope.original_positions ? 1 : 0;
  return 0;
}

rotary_frequencies frequencies_of(const rope_spec& rope, uint32_t variant) {
  switch (rope.kind) {
    case rope_kind::plain:
      break;
    case rope_kind::linear: {
      rotary_frequencies out{.inverse = plain(rope.theta, rope.dim), .attention_factor = 1};
      for (float& inverse : out.inverse) inverse /= static_cast<float>(rope.factor);
      return out;
    }
    case rope_kind::dynamic:
      return {.inverse = plain(variant == 0 ? rope.theta : dynamic_base(rope, variant), rope.dim),
              .attention_factor = 1};
    case rope_kind::yarn:
      return yarn(rope);
    case rope_kind::llama3:
      return llama3(rope);
    case rope_kind::longrope:
      return longrope(rope, variant != 0);
  }
  return {.inverse = plain(rope.theta, rope.dim), .attention_factor = 1};
}

rotary_table::rotary_table(const rope_spec& rope, uint32_t positions_max, uint32_t rows_max)
    : rope_(rope), memory_(size_t{positions_max} * rope.dim * sizeof(float)) {
  table_ = rows_of(memory_, positions_max, rope.dim);
  const auto usual = frequencies_of(rope, 0);
  compute::fill_rotary_table(usual.inverse, usual.attention_factor, 0, table_);
  if (rope_variant(rope, UINT32_MAX) == 0) return;
  single_memory_ = compute::buffer(size_t{rows_max} * rope.dim * sizeof(float));
  singles_ = rows_of(single_memory_, rows_max, rope.dim);
  single_rows_.resize(rows_max);
  std::iota(single_rows_.begin(), single_rows_.end(), 0u);
}

rotary_view rotary_table::view(std::span<const uint32_t> positions,
                               std::span<const uint32_t> prompt_lengths) {
  bool usual = true;
  const auto variant_of = [&](size_t r) {
    return rope_variant(rope_,
                        std::max(positions[r] + 1, prompt_lengths.empty() ? 0 : prompt_lengths[r]));
  };
  for (size_t r = 0; r < positions.size() && !single_rows_.empty(); ++r)
    usual = usual && variant_of(r) == 0;
  if (usual) return {.cos_sin = table_, .positions = positions};
  TROUPE_CHECK(positions.size() <= single_rows_.size());
  rotary_frequencies frequencies;
  for (uint32_t r = 0; r < positions.size(); ++r) {
    const uint32_t variant = variant_of(r);
    if (r == 0 || variant != variant_of(r - 1)) frequencies = frequencies_of(rope_, variant);
    compute::fill_rotary_table(frequencies.inverse, frequencies.attention_factor, positions[r],
                               singles_.rows_at(r, 1));
  }
  return {.cos_sin = singles_, .positions = std::span(single_rows_).first(positions.size())};
}

} // namespace troupe::model
