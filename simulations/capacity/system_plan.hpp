// One way to run a model on so many nodes: replicas of the pipeline, the stages and shards of each,
// and what fits into memory. All replicas are alike.
#pragma once

#include "base/status.hpp"
#include "dataflow/batcher.hpp"
#include "dataflow/cluster.hpp"
#include "dataflow/pipeline.hpp"
#include "dataflow/placement.hpp"
#include "simulations/capacity/device_profile.hpp"
#include "simulations/capacity/model_shape.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::simulations::capacity {

inline constexpr uint32_t devices_max = 2048;

struct plan_request {
  model_shape model;
  device_profile device;
  uint32_t nodes = 1;
  uint32_t copies = 1;            // of every expert
  uint32_t nodes_per_replica = 0; // 0: the fewest that hold the model, and survive a loss
  uint32_t stages = 0;            // of a replica; 0: one a node
  dataflow::batcher_limits limits;
  uint32_t page_tokens = 16;
};

struct system_plan {
  model_shape model;
  device_profile device;
  uint32_t nodes = 1;
  uint32_t nodes_per_replica = 1;
  uint32_t replicas = 1;
  uint32_t copies = 1;
  uint32_t page_tokens = 16;
  dataflow::batcher_limits limits;
  dataflow::pipeline_graph graph;  // of every replica
  dataflow::cluster_layout layout; // of every replica
  dataflow::placement initial;     // when all its nodes serve
  uint64_t kv_tokens = 0;          // that a replica holds then
  uint32_t idle_nodes() const { return nodes - replicas * nodes_per_replica; }
};

// The fewest nodes on which a replica can live: its weights leave a quarter of the memory for KV
// pages, and, with more than one node, still fit when one is lost.
result<uint32_t> nodes_needed(const plan_request& request);

// Fails with `exhausted` when the model does not fit.
result<system_plan> plan_system(const plan_request& request);

double stage_bytes(const system_plan& plan, uint32_t stage);
double shard_bytes(const system_plan& plan, uint32_t shard);

// Tokens of KV pages that fit beside the weights of this placement; nothing when the weights alone
// do not fit on some node.
std::optional<uint64_t> kv_tokens_of(const system_plan& plan, const dataflow::placement& where);

} // namespace troupe::simulations::capacity
