// A mask on a row of logits.
#pragma once

#include "model/grammar/matcher.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace troupe::model {

// Logits that are not allowed become -infinity. `ends` are allowed beside the mask.
inline void apply_mask(std::span<float> row, const token_mask& allowed,
                       std::span<const int32_t> ends) {
  std::vector<float> kept; // of the ends
  const auto is_in_row = [row](int32_t id) {
    return id >= 0 && static_cast<size_t>(id) < row.size();
  };
  for (const int32_t id : ends) kept.push_back(is_in_row(id) ? row[static_cast<size_t>(id)] : 0);
  for (size_t begin = 0; begin < row.size(); begin += 64) {
    const size_t word = begin / 64;
    const uint64_t bits = word < allowed.size() ? allowed[word] : 0;
    if (bits == ~uint64_t{0}) continue;
    const size_t end = std::min(begin + 64, row.size());
    for (size_t id = begin; id < end; ++id)
      if ((bits >> (id - begin) & 1) == 0) row[id] = -std::numeric_limits<float>::infinity();
  }
  for (size_t i = 0; i < ends.size(); ++i)
    if (is_in_row(ends[i])) row[static_cast<size_t>(ends[i])] = kept[i];
}

} // namespace troupe::model
