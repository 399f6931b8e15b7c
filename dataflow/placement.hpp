// Who plays which role: planned anew with the least movement whenever the set of serving nodes
// changes.
#pragma once

#include "dataflow/cluster.hpp"

#include <optional>
#include <string>
#include <vector>

namespace troupe::dataflow {

using schemas::placement;

// Roles stay where they are as long as their node serves; a shard whose first copy is lost goes on
// with another one; what is homeless goes to the least loaded serving nodes (load: stages weigh
// their layers, shards their experts, the sequencer little), ties by index; copies of one shard lie
// on different nodes. Then at most one role per plan moves from the most to the least loaded node
// when that makes the larger of their two loads smaller (so that nodes that come back get work); a
// copy of a shard rather than a stage, whose KV pages would be lost. Last, each shard prefers the
// copy whose node has the least work so far (stages and shards before it), ties as they are, and
// older copies before new ones.
// Nothing serving: an empty placement.
placement plan_placement(const cluster_layout& layout, const placement& current,
                         const std::vector<bool>& serving);

bool complete(const placement& where, const cluster_layout& layout);
// Every index names a serving node, every role is there, copies are distinct. When nobody serves:
// nothing but the empty placement.
status validate(const placement& where, const cluster_layout& layout,
                const std::vector<bool>& serving);

// The roles `node` plays, in a fixed order (sequencer and KV-cache manager, stages each with its
// router where the model has experts, shards).
std::vector<role> roles_of(const placement& where, node_index node);

// For people: "sequencer a, attention_stage/0 b, expert_shard/0 a c" with names.
std::string describe(const placement& where, const cluster_layout& layout);

} // namespace troupe::dataflow
