// Cutting the cluster into replicas and checking what fits.
#include "simulations/capacity/system_plan.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "dataflow/placement.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::simulations::capacity {
namespace {

constexpr double kv_share_min = 0.25;      // of memory, when the size of a replica is left to us
constexpr double kv_share_degraded = 0.05; // after the loss of a node

double gb(double bytes) {
  return std::floor(bytes / 1e8) / 10;
}

// Weights of a replica with all its copies.
double replica_bytes(const plan_request& request) {
  double experts = 0;
  for (const auto& layer : request.model.layers)
    experts += layer.expert_params * request.model.experts;
  const double once = request.model.params() - experts;
  return (once + experts * request.copies) * request.model.weight_bytes;
}

// Parts cannot be cut finer than layers and experts, so some node has more than the average.
double largest_share(const plan_request& request, uint32_t nodes) {
  const auto uneven = [&](uint32_t things) {
    const uint32_t most = (things + nodes - 1) / nodes;
    return std::max(1.0, double(most) * nodes / things);
  };
  double factor = uneven(static_cast<uint32_t>(request.model.layers.size()));
  if (request.model.experts > 0) factor = std::max(factor, uneven(request.model.experts));
  return replica_bytes(request) / nodes * factor;
}

status too_small(const plan_request& request, uint32_t nodes) {
  return {status_code::exhausted,
          text(request.model.name, " with ", request.copies, " copies of its experts needs ",
               gb(replica_bytes(request)), " GB for weights; ", nodes, " nodes have ",
               gb(request.device.node_memory_bytes() * nodes), " GB usable")};
}

} // namespace

result<uint32_t> nodes_needed(const plan_request& request) {
  const double memory = request.device.node_memory_bytes();
  const auto layers = static_cast<uint32_t>(request.model.layers.size());
  uint32_t most = devices_max / request.device.devices();
  most =
      std::min(most, request.model.experts > 0 ? std::max(layers, request.model.experts) : layers);
  for (uint32_t nodes = std::max(1u, request.copies); nodes <= most; ++nodes) {
    if (largest_share(request, nodes) > memory * (1 - kv_share_min)) continue;
    if (nodes > 1 && largest_share(request, nodes - 1) > memory * (1 - kv_share_degraded)) continue;
    return nodes;
  }
  return fail(too_small(request, most));
}

result<system_plan> plan_system(const plan_request& request) {
  if (const auto valid = validate(request.device); !valid.ok()) return fail(valid);
  if (const auto valid = dataflow::validate(request.limits); !valid.ok()) return fail(valid);
  const uint64_t devices = uint64_t{request.nodes} * request.device.devices();
  if (request.nodes == 0 || devices > devices_max)
    return fail(status_code::invalid_argument, text(request.nodes, " nodes have ", devices,
                                                    " devices; there may be 1 to ", devices_max));
  uint32_t per_replica = request.nodes_per_replica;
  if (per_replica == 0) {
    const auto needed = nodes_needed(request);
    if (!needed) return fail(needed.error());
    per_replica = *needed;
  }
  if (per_replica > request.nodes)
    return fail(status_code::exhausted, text("a replica of ", request.model.name, " with ",
                                             request.copies, " copies of its experts takes ",
                                             per_replica, " nodes; there are ", request.nodes));
  if (request.copies == 0 || request.copies > per_replica)
    return fail(status_code::invalid_argument,
                text(request.copies,
                     " copies of each expert need as many nodes in a replica, which "
                     "has ",
                     per_replica));
  system_plan out;
  out.model = request.model;
  out.device = request.device;
  out.nodes = request.nodes;
  out.nodes_per_replica = per_replica;
  out.replicas = request.nodes / per_replica;
  out.copies = request.model.experts > 0 ? request.copies : 1;
  out.page_tokens = request.page_tokens;
  const auto layers = static_cast<uint32_t>(request.model.layers.size());
  const uint32_t stages = request.stages > 0 ? request.stages : std::min(per_replica, layers);
  const uint32_t shards = std::min(per_replica, request.model.experts);
  const auto graph = dataflow::plan_single_node({.layers = layers,
                                                 .experts = request.model.experts,
                                                 .stages = stages,
                                                 .shards = std::max(1u, shards)});
  if (!graph) return fail(graph.error());
  out.graph = *graph;
  out.limits = request.limits;
  // So that every stage can have a step of its own.
  if (out.limits.max_batch_size == 0)
    out.limits.max_batch_size = (out.limits.sequences_max + stages - 1) / stages;
  for (uint32_t n = 0; n < per_replica; ++n) out.layout.nodes.push_back(text("n", n));
  out.layout.stages = stages;
  out.layout.shards = static_cast<uint32_t>(out.graph.shards.size());
  out.layout.shard_copies = out.copies;
  out.layout.layers = layers;
  out.layout.experts = request.model.experts;
  out.initial = dataflow::plan_placement(out.layout, {}, std::vector<bool>(per_replica, true));
  TROUPE_CHECK(dataflow::complete(out.initial, out.layout));
  const auto kv = kv_tokens_of(out, out.initial);
  if (!kv) return fail(too_small(request, per_replica));
  out.kv_tokens = *kv;
  return out;
}

double stage_bytes(const system_plan& plan, uint32_t stage) {
  const auto& range = plan.graph.stages[stage];
  double params = 0;
  for (uint32_t n = range.begin; n < range.end; ++n)
    params += plan.model.layers[n].attention_params + plan.model.layers[n].dense_params;
  if (stage == 0) params += plan.model.table_params;
  if (stage + 1 == plan.graph.stages.size()) params += plan.model.head_params;
  return params * plan.model.weight_bytes;
}

double shard_bytes(const system_plan& plan, uint32_t shard) {
  double params = 0;
  for (const auto& layer : plan.model.layers)
    params += layer.expert_params * plan.graph.shards[shard].count;
  return params * plan.model.weight_bytes;
}

std::optional<uint64_t> kv_tokens_of(const system_plan& plan, const dataflow::placement& where) {
  std::vector<double> weights(plan.nodes_per_replica, 0.0), per_token(plan.nodes_per_replica, 0.0);
  for (uint32_t n = 0; n < where.stages.size(); ++n) {
    weights[where.stages[n]] += stage_bytes(plan, n);
    const auto& range = plan.graph.stages[n];
    for (uint32_t layer = range.begin; layer < range.end; ++layer)
      per_token[where.stages[n]] += plan.model.layers[layer].kv_bytes;
  }
  for (uint32_t n = 0; n < where.shards.size(); ++n)
    for (const auto node : where.shards[n]) weights[node] += shard_bytes(plan, n);
  double tokens = 1e18;
  for (uint32_t n = 0; n < plan.nodes_per_replica; ++n) {
    const double left = plan.device.node_memory_bytes() - weights[n];
    if (left < 0) return std::nullopt;
    if (per_token[n] > 0) tokens = std::min(tokens, left / per_token[n]);
  }
  const auto pages = static_cast<uint64_t>(tokens) / plan.page_tokens;
  if (pages == 0) return std::nullopt;
  return pages * plan.page_tokens;
}

} // namespace troupe::simulations::capacity
