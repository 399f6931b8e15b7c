// A mixture-of-experts model small enough to run thousands of times a second: real layers, real
// kernels, random weights from a fixed key, and a tokenizer of bytes. Made in memory, the same on
// every machine.
#pragma once

#include "actors/model_bundle.hpp"
#include "base/status.hpp"
#include "compute/executor.hpp"

#include <memory>

namespace troupe::simulations {

struct tiny_model_options {
  uint32_t layers = 4;  // the first one dense
  uint32_t hidden = 16; // a multiple of 4
  uint32_t experts = 8;
  uint32_t top_k = 2;
  uint32_t positions_max = 256;
};

// Token ids 0 to 255 are the bytes, tiny_model_end ends a text. Loaded by the production reader.
inline constexpr uint32_t tiny_model_end = 256;

result<std::shared_ptr<const actors::model_bundle>> make_tiny_model(
    compute::executor& executor, const tiny_model_options& options);

} // namespace troupe::simulations
