// The table of cosines and sines that rotary position embedding reads.
#pragma once

#include "compute/tensor.hpp"

#include <cstdint>
#include <span>

namespace troupe::compute {

// Row i of cos_sin belongs to position position_begin + i and holds n cosines, then n sines, for
// the n inverse frequencies; cos_sin has 2 n columns. The angle is the f32 product of position and
// inverse frequency, as the PyTorch models compute it; its cosine and sine are rounded to f32 and
// multiplied by the attention factor there. Own functions in plain IEEE arithmetic: the same bits
// on every machine, for angles up to 10^8.
void fill_rotary_table(std::span<const float> inverse_frequency, float attention_factor,
                       uint32_t position_begin, matrix_view cos_sin);

} // namespace troupe::compute
