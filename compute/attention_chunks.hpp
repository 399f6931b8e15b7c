// How attention cuts a context: fixed chunks by absolute position.
#pragma once

#include <algorithm>
#include <cstdint>

namespace troupe::compute {

inline constexpr uint32_t attention_chunk = 64; // positions; no page is larger

// What a row at `position` sees: positions [begin, end).
struct visible_range {
  uint32_t begin = 0;
  uint32_t end = 0;
};
inline visible_range visible_at(uint32_t position, uint32_t window) {
  const uint32_t end = position + 1;
  return {window != 0 && end > window ? end - window : 0, end};
}

} // namespace troupe::compute
