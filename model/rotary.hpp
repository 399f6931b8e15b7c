// Rotary embedding: from a rope_spec to the table of cosines and sines that the kernels read.
#pragma once

#include "compute/tensor.hpp"
#include "model/description.hpp"

#include <span>
#include <vector>

namespace troupe::model {

struct rotary_frequencies {
  std::vector<float> inverse; // [dim / 2] radians per position
  float attention_factor = 1; // on every cosine and sine
};

// Two kinds (dynamic, longrope) rotate by the length of the sequence once it exceeds what the model
// was trained for. A token at position p of a sequence whose prompt has n tokens counts with the
// length max(n, p + 1), for its query and for the key it leaves behind; that is what a forward pass
// over the prompt followed by single steps computes. Sequences of the same variant rotate alike: 0
// is everyone below the limit. Cached keys may be shared between prompts of one variant only.
uint32_t rope_variant(const rope_spec& rope, uint32_t length);

rotary_frequencies frequencies_of(const rope_spec& rope, uint32_t variant);

// m(s, k) of the YaRN paper.
double yarn_magnitude(double factor, double mscale);

// What rope needs for the rows of one step: the angles of row r stand in row positions[r].
struct rotary_view {
  compute::const_matrix_view cos_sin;
  std::span<const uint32_t> positions;
};

// Angles of all positions below positions_max for variant 0, and of single rows for the others.
class rotary_table {
public:
  rotary_table() = default;
  rotary_table(const rope_spec& rope, uint32_t positions_max, uint32_t rows_max);

  // `prompt_lengths` per row may be empty when the model's rope has one variant. The view is valid
  // until the next call.
  rotary_view view(std::span<const uint32_t> positions, std::span<const uint32_t> prompt_lengths);

private:
  rope_spec rope_;
  compute::buffer memory_;
  compute::matrix_view table_;
  compute::buffer single_memory_;
  compute::matrix_view singles_;
  std::vector<uint32_t> single_rows_; // 0, 1, 2, …
};

} // namespace troupe::model
