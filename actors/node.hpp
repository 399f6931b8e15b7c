// Starts the parts of one node and offers them as an engine.
#pragma once

#include "actors/engine.hpp"
#include "actors/kv_persistence.hpp"
#include "actors/model_bundle.hpp"
#include "base/clock.hpp"
#include "compute/executor.hpp"
#include "dataflow/eviction.hpp"

#include <cstdint>
#include <memory>

namespace troupe::actors {

struct node_options {
  uint32_t positions_max = 0; // 0: what the model was made for, at most positions_max_default
  uint32_t page_tokens = 16;
  uint64_t kv_bytes = 0;          // 0: enough for sequences_max times positions_max, at most 2 GiB
  uint32_t step_tokens_max = 512; // token budget of one step
  uint32_t sequences_max = 64;    // running at once
  uint32_t queue_max = 1024;      // waiting; over it a request is refused
  uint32_t prefill_chunk_max = 256;
  uint32_t mixed_prefill_max = 64; // prompt tokens of a step in which others generate
  uint32_t max_batch_size = 0;     // sequences per step; 0: sequences_max
  uint32_t max_wait_us = 0;        // how long a step may wait for company
  bool prefix_cache = true;
  uint32_t draft_tokens_max = 0; // guessed of one sequence in a step (dataflow/draft.hpp)
  dataflow::eviction_policy eviction = dataflow::eviction_policy::cost;
  uint32_t attention_stages = 1;
  uint32_t expert_shards = 1;
  uint32_t actor_threads = 2; // CAF workers
};

inline constexpr uint32_t positions_max_default = 8192;

// `executor` and `clock` must outlive the engine. Fails when the memory for pages and step buffers
// cannot be had or an option is out of range (the message names it). Destroying the engine stops it
// at once; drain first to be kind. With `persistence` the folder must be readable.
result<std::unique_ptr<engine>> start_node(std::shared_ptr<const model_bundle> model,
                                           compute::executor& executor, const clock& clock,
                                           const node_options& options,
                                           kv_persistence persistence = {});

} // namespace troupe::actors
