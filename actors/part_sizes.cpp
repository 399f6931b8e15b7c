// Adds up weights and KV pages by the graph.
#include "actors/part_sizes.hpp"

#include "actors/model_bundle.hpp"
#include "actors/node_supervisor.hpp"
#include "model/weight_bytes.hpp"

namespace troupe::actors {
namespace {

uint64_t kv_bytes_of(const node_resources& resources, uint32_t layer) {
  const auto& attention = resources.bundle->description->layers[layer].attention;
  const auto shape = model::kv_shape_of(attention, resources.page_tokens);
  return uint64_t{compute::kv_page_bytes(shape)} * resources.page_count;
}

uint64_t stage_bytes(const node_resources& resources, const dataflow::layer_range& range) {
  const auto& weights = *resources.bundle->weights;
  uint64_t sum = range.begin == 0 ? weights.embedding.bytes() : 0;
  for (uint32_t layer = range.begin; layer < range.end; ++layer) {
    const auto& of = weights.layers[layer];
    sum += bytes_of(of.attention) + bytes_of(of.dense) + bytes_of(of.router) +
           kv_bytes_of(resources, layer);
  }
  return sum;
}

uint64_t shard_bytes(const model::model_weights& weights, const dataflow::expert_set& experts) {
  uint64_t sum = 0;
  for (const auto& layer : weights.layers)
    for (uint32_t n = 0; n < experts.count; ++n)
      if (experts.expert(n) < layer.experts.size())
        sum += bytes_of(layer.experts[experts.expert(n)]);
  return sum;
}

} // namespace

dataflow::part_bytes sizes_of_parts(const node_resources& resources) {
  const auto& weights = *resources.bundle->weights;
  dataflow::part_bytes out;
  out.sequencer = bytes_of(weights.head);
  if (weights.head.matrix.empty()) out.sequencer += weights.embedding.bytes();
  for (const auto& stage : resources.graph.stages)
    out.stages.push_back(stage_bytes(resources, stage));
  for (const auto& shard : resources.graph.shards)
    out.shards.push_back(shard_bytes(weights, shard));
  return out;
}

} // namespace troupe::actors
