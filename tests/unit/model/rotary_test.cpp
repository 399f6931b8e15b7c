// Rotary frequencies of every kind of scaling, against values worked out from the formulas in f64.
#include "model/rotary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace troupe::model {
namespace {

rope_spec spec(rope_kind kind, double factor) {
  rope_spec out;
  out.kind = kind;
  out.dim = 8;
  out.factor = factor;
  out.positions_max = 64;
  out.original_positions = 32;
  return out;
}

double plain_inverse(double theta, uint32_t j, uint32_t dim) {
  return 1 / std::pow(theta, 2.0 * j / dim);
}

TEST(rotary, divides_frequencies_by_a_linear_factor) {
  const auto usual = frequencies_of(spec(rope_kind::plain, 1), 0),
             linear = frequencies_of(spec(rope_kind::linear, 4), 0);
  for (uint32_t j = 0; j < 4; ++j) {
    EXPECT_FLOAT_EQ(usual.inverse[j], static_cast<float>(plain_inverse(10000, j, 8)));
    EXPECT_FLOAT_EQ(linear.inverse[j], usual.inverse[j] / 4);
  }
  EXPECT_EQ(linear.attention_factor, 1);
}

TEST(rotary, blends_yarn_between_kept_and_stretched) {
  auto rope = spec(rope_kind::yarn, 8);
  rope.original_positions = 4096;
  const auto yarn = frequencies_of(rope, 0);
  const auto pair = [](double r) {
    return 8 * std::log(4096 / (r * 2 * std::numbers::pi)) / (2 * std::log(10000.0));
  };
  const double low = std::floor(pair(32)), high = std::ceil(pair(1));
  for (uint32_t j = 0; j < 4; ++j) {
    const double ramp = std::clamp((j - low) / (high - low), 0.0, 1.0),
                 inverse = plain_inverse(10000, j, 8);
    EXPECT_FLOAT_EQ(yarn.inverse[j], static_cast<float>(ramp * inverse / 8 + (1 - ramp) * inverse))
        << j;
  }
  EXPECT_FLOAT_EQ(yarn.attention_factor, static_cast<float>(0.1 * std::log(8.0) + 1));
  rope.mscale = 1.5;
  rope.mscale_all_dim = 0.5;
  EXPECT_FLOAT_EQ(frequencies_of(rope, 0).attention_factor,
                  static_cast<float>((0.15 * std::log(8.0) + 1) / (0.05 * std::log(8.0) + 1)));
  rope.attention_factor = 0.75;
  EXPECT_EQ(frequencies_of(rope, 0).attention_factor, 0.75f);
}

TEST(rotary, stretches_only_slow_pairs_for_llama3) {
  auto rope = spec(rope_kind::llama3, 8);
  rope.theta = 1e4;
  const auto out = frequencies_of(rope, 0);
  EXPECT_FLOAT_EQ(out.inverse[0], 1);                                                // 6.3 < 32 / 4
  EXPECT_FLOAT_EQ(out.inverse[3], static_cast<float>(plain_inverse(1e4, 3, 8) / 8)); // 6283 > 32
}

TEST(rotary, follows_the_length_of_a_sequence_only_beyond_the_limit) {
  const auto dynamic = spec(rope_kind::dynamic, 2);
  EXPECT_EQ(rope_variant(dynamic, 64), 0u);
  EXPECT_EQ(rope_variant(dynamic, 65), 65u);
  EXPECT_EQ(frequencies_of(dynamic, 0).inverse,
            frequencies_of(spec(rope_kind::plain, 1), 0).inverse);
  const double base = 10000 * std::pow(2.0 * 128 / 64 - 1, 8.0 / 6);
  EXPECT_FLOAT_EQ(frequencies_of(dynamic, 128).inverse[2],
                  static_cast<float>(plain_inverse(base, 2, 8)));
  EXPECT_EQ(rope_variant(spec(rope_kind::yarn, 2), UINT32_MAX), 0u);
}

TEST(rotary, chooses_the_factors_of_longrope_by_length) {
  auto rope = spec(rope_kind::longrope, 2);
  rope.short_factor = {1, 2, 3, 4};
  rope.long_factor = {5, 6, 7, 8};
  EXPECT_EQ(rope_variant(rope, 32), 0u);
  EXPECT_EQ(rope_variant(rope, 33), 1u);
  EXPECT_FLOAT_EQ(frequencies_of(rope, 0).inverse[1],
                  static_cast<float>(plain_inverse(10000, 1, 8) / 2));
  EXPECT_FLOAT_EQ(frequencies_of(rope, 1).inverse[1],
                  static_cast<float>(plain_inverse(10000, 1, 8) / 6));
  EXPECT_FLOAT_EQ(frequencies_of(rope, 0).attention_factor,
                  static_cast<float>(std::sqrt(1 + std::log(2.0) / std::log(32.0))));
}

TEST(rotary_table, serves_rows_of_every_variant) {
  rotary_table table(spec(rope_kind::dynamic, 2), 100, 4);
  const std::vector<uint32_t> positions = {3, 70, 5};
  const std::vector<uint32_t> short_prompts = {10, 20, 30}, one_long = {10, 20, 80};
  const auto below = table.view(std::span(positions).first(1), std::span(short_prompts).first(1));
  EXPECT_EQ(below.positions[0], 3u);
  const std::vector<float> usual(below.cos_sin.row(3), below.cos_sin.row(3) + 8);
  const auto mixed = table.view(positions, one_long);
  EXPECT_EQ(std::vector<uint32_t>(mixed.positions.begin(), mixed.positions.end()),
            (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(std::vector<float>(mixed.cos_sin.row(0), mixed.cos_sin.row(0) + 8), usual);
  const auto frequencies = frequencies_of(spec(rope_kind::dynamic, 2), 71);
  EXPECT_NEAR(mixed.cos_sin.row(1)[1], std::cos(70 * static_cast<double>(frequencies.inverse[1])),
              1e-5);
  EXPECT_NEAR(mixed.cos_sin.row(1)[5], std::sin(70 * static_cast<double>(frequencies.inverse[1])),
              1e-5);
}

} // namespace
} // namespace troupe::model
