// Named shapes of models that people measure with: the configuration of each, without weights.
#pragma once

#include <span>
#include <string_view>

namespace troupe::model {

struct synthetic_shape {
  std::string_view name;    // "granite-1b-a400m"
  std::string_view summary; // one line
  std::string_view config;  // config.json
};

std::span<const synthetic_shape> synthetic_shapes();
// Null when there is none of that name.
const synthetic_shape* find_synthetic_shape(std::string_view name);

} // namespace troupe::model
