// What an attention stage keeps between steps: the bytes of its layers' KV pages and the rotary
// table.
#pragma once

#include "base/status.hpp"
#include "compute/executor.hpp"
#include "dataflow/pipeline.hpp"
#include "model/description.hpp"
#include "model/rotary.hpp"

#include <memory>
#include <vector>

namespace troupe::actors {

// Used by the stage's jobs only.
struct stage_memory {
  std::vector<compute::buffer> pages; // per layer of the stage
  uint32_t page_count = 0;
  uint32_t page_tokens = 0;
  uint32_t positions_max = 0; // that the rotary table has
  model::rotary_table rotary;
};

// Bytes of one KV page over all layers of a model.
inline uint64_t kv_bytes_per_page(const model::description& description, uint32_t page_tokens) {
  uint64_t bytes = 0;
  for (const auto& layer : description.layers)
    bytes += compute::kv_page_bytes(model::kv_shape_of(layer.attention, page_tokens));
  return bytes;
}

} // namespace troupe::actors
