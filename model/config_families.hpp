// The families of configurations, each as what differs from the others. For sources only.
#pragma once

#include "model/config_fields.hpp"
#include "model/description.hpp"

namespace troupe::model {

// Bounds of what any real model has; a configuration beyond them is damaged.
inline constexpr uint32_t vocabulary_max = 1u << 24;
inline constexpr uint32_t width_max = 1u << 20; // hidden, inner sizes, heads * head_dim
inline constexpr uint32_t layers_max = 4096;
inline constexpr uint32_t heads_max = 4096;
inline constexpr uint32_t head_dim_max = 8192;
inline constexpr uint32_t experts_max = 65536;
inline constexpr uint32_t positions_limit = 1u << 30;

// What all families share, with the family's defaults.
struct common_defaults {
  uint32_t vocabulary = 32000;
  uint32_t hidden = 4096;
  uint32_t layers = 32;
  uint32_t positions = 2048;
  double norm_eps = 1e-6;
  std::optional<int32_t> bos = {};
  std::optional<int32_t> eos = {};
};

// Fills everything of `out` but its name, for the family `out.name`; false when nobody knows the
// name.
bool read_family(config_fields& config, description& out);

// The supported values of model_type.
std::vector<std::string> family_names();

} // namespace troupe::model
