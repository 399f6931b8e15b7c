// The graph of one pipeline replica: which stage has which layers, which shard has which experts,
// and the roles by which these parts are addressed.
#pragma once

#include "base/status.hpp"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::dataflow {

// Append only: the numbers travel between nodes.
enum class role_kind : uint8_t {
  ingress,
  sequencer,
  attention_stage,
  gating_router,
  expert_shard,
  kv_cache_manager,
  checkpoint_coordinator,
  membership,
  coordinator,
  node_supervisor,
};
std::string_view to_string(role_kind kind);

// "attention_stage/0". Who plays a role may change with the placement epoch; the role does not.
struct role {
  role_kind kind = role_kind::ingress;
  uint32_t index = 0;
  auto operator<=>(const role&) const = default;
};
std::string to_string(const role& who);
result<role> parse_role(std::string_view name);

struct layer_range {
  uint32_t begin = 0;
  uint32_t end = 0; // one behind the last
  uint32_t count() const { return end - begin; }
  bool contains(uint32_t layer) const { return begin <= layer && layer < end; }
  bool operator==(const layer_range&) const = default;
};

// Experts first, first + stride, …: `count` of them. Stride 1 is a contiguous range.
struct expert_set {
  uint32_t first = 0;
  uint32_t count = 0;
  uint32_t stride = 1;
  bool contains(uint32_t expert) const;
  uint32_t expert(uint32_t local) const { return first + local * stride; }
  // Which of the set's experts this is; it must be one.
  uint32_t local_index(uint32_t expert) const;
  bool operator==(const expert_set&) const = default;
};

enum class expert_layout : uint8_t { contiguous, strided };

struct pipeline_graph {
  uint64_t epoch = 0; // of the placement
  uint32_t layers = 0;
  uint32_t experts = 0;            // 0: a dense model, which has no shards
  std::vector<layer_range> stages; // attention_stage/i has stages[i], and so has gating_router/i
  std::vector<expert_set> shards;  // expert_shard/i has shards[i], in every layer that has experts

  uint32_t stage_of(uint32_t layer) const;
  uint32_t shard_of(uint32_t expert) const;
  std::vector<role> roles() const; // every part of the replica, in a fixed order
};

// Every layer in exactly one stage, in order; every expert in exactly one shard; none empty.
status validate(const pipeline_graph& graph);

struct single_node_args {
  uint32_t layers = 0;
  uint32_t experts = 0;
  uint32_t stages = 1;
  uint32_t shards = 1; // ignored when there are no experts
  expert_layout layout = expert_layout::contiguous;
  uint64_t epoch = 1;
};

// Cuts layers and experts as evenly as possible; the first parts get what does not divide.
result<pipeline_graph> plan_single_node(const single_node_args& args);

} // namespace troupe::dataflow
