// What nodes tell that a plan goes by, and what follows from it: how much work a role is, how slow
// and how large a node is. All in integers, so that every leader comes to the same plan.
#pragma once

#include "dataflow/cluster.hpp"

#include <cstdint>
#include <vector>

namespace troupe::dataflow {

using schemas::placement;

struct node_figures {
  // Eighths of octaves: 8 more is twice as fast. 0: not measured; then as the slowest that is.
  uint32_t speed = 0;
  uint64_t memory = 0; // bytes for weights and KV pages; 0: not told, so enough
};

// Empty: nothing was told. All nodes are equal then, and so are all shards with equally many
// experts.
struct plan_figures {
  std::vector<node_figures> nodes = {};
  std::vector<uint64_t> shard_rows = {}; // that each shard has computed of late
};

// Work of a role, in units that mean something beside each other alone. A shard's is that of all of
// its experts: as many rows as its experts are of all, or, where rows count and enough of them were
// seen, as its rows are.
struct role_work {
  uint64_t sequencer = 0;
  std::vector<uint64_t> stages;
  std::vector<uint64_t> shards;
};
role_work work_of_roles(const cluster_layout& layout, const plan_figures& figures);
bool rows_count(const cluster_layout& layout, const plan_figures& figures);

// How long a unit of work takes on each node: unit_time on the fastest one that serves and on those
// that are less than three eighths of an octave behind it, so that noise in what was measured makes
// nobody unequal, and then in steps of half an octave.
constexpr uint64_t unit_time = 1024;
std::vector<uint64_t> time_of_unit(const plan_figures& figures, const std::vector<bool>& serving);

uint64_t memory_of(const plan_figures& figures, node_index node); // UINT64_MAX: enough
uint64_t bytes_of_stage(const cluster_layout& layout, uint32_t stage);
uint64_t bytes_of_shard(const cluster_layout& layout, uint32_t shard);
// Of everything the placement gives to the node.
uint64_t bytes_on(const cluster_layout& layout, const placement& where, node_index node);

} // namespace troupe::dataflow
