// Who plays which role: planned anew with the least movement whenever the set of serving nodes
// changes.
#pragma once

#include "dataflow/cluster.hpp"
#include "dataflow/node_figures.hpp"

#include <optional>
#include <string>
#include <vector>

namespace troupe::dataflow {

// Roles stay where they are as long as their node serves; a shard whose first copy is lost goes on
// with another one; what is homeless goes to the serving node that would have the least time to
// work (loads are work divided by speed: stages weigh their layers, shards their experts or their
// rows, the sequencer little), ties by index; copies of one shard lie on different nodes. Then at
// most one role per plan moves from the most to the least loaded node when that makes the larger of
// their two loads smaller (so that nodes that come back get work); a copy of a shard rather than a
// stage, whose KV pages would be lost. Last, each shard prefers the copy whose node has the least
// work so far (stages and shards before it), ties as they are, and older copies before new ones.
//
// No node gets more bytes than it has. Where that leaves a role without a node, copies beyond the
// first of each shard make room, and then everything is placed anew, the largest first.
// Copies beyond shard_copies (load_balance.hpp) stay while their shard has more than its share of
// the load.
//
// Nothing serving, or no room for one copy of everything: an empty placement.
placement plan_placement(const cluster_layout& layout, const placement& current,
                         const std::vector<bool>& serving, const plan_figures& figures = {});

// Why plan_placement found no place for everything, which it is known to have not: the bytes that
// are missing and where. Empty: nobody serves.
std::string why_no_room(const cluster_layout& layout, const std::vector<bool>& serving,
                        const plan_figures& figures);

bool complete(const placement& where, const cluster_layout& layout);
// Every index names a serving node, every role is there, copies are distinct. When nobody serves:
// nothing but the empty placement.
status validate(const placement& where, const cluster_layout& layout,
                const std::vector<bool>& serving);
// No node has more bytes of roles than memory.
status validate_memory(const placement& where, const cluster_layout& layout,
                       const plan_figures& figures);

// The roles `node` plays, in a fixed order (sequencer and KV-cache manager, stages each with its
// router where the model has experts, shards).
std::vector<role> roles_of(const placement& where, node_index node);

// For people: "sequencer a, attention_stage/0 b, expert_shard/0 a c" with names.
std::string describe(const placement& where, const cluster_layout& layout);

} // namespace troupe::dataflow
