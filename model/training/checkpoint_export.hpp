// Trained parameters as model.safetensors, under the names and shapes of the family's checkpoints.
#pragma once

#include "model/training/parameters.hpp"

#include <functional>

namespace troupe::model {

struct exported_parameters {
  const description& model;
  const parameter_map& map;
  std::span<const float> values;
  std::span<const std::vector<float>> corrections; // by layer; always written as f32
  compute::dtype type = compute::dtype::f32;       // or bf16, rounded to nearest even
};

// The file's bytes in order, a tensor's part at a time; the first failure of the sink ends it.
using byte_sink = std::function<status(std::span<const std::byte>)>;
status export_safetensors(const exported_parameters& what, const byte_sink& to);

} // namespace troupe::model
