// Sorts the router's (row, choice) pairs by expert, so that each shard gets one run of rows and
// each expert in it one group. Stable: rows ascend within a group, so results never depend on
// timing.
#pragma once

#include "base/status.hpp"
#include "dataflow/pipeline.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace troupe::dataflow {

// Slots [begin, end) of the sorted order belong to this expert.
struct expert_group {
  uint32_t expert = 0; // in the model
  uint32_t local = 0;  // in its shard
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t count() const { return end - begin; }
};

// What one shard gets: slots [slot_begin, slot_end) and groups [group_begin, group_end).
struct shard_slots {
  uint32_t slot_begin = 0;
  uint32_t slot_end = 0;
  uint32_t group_begin = 0;
  uint32_t group_end = 0;
  bool empty() const { return slot_begin == slot_end; }
};

// Reused from layer to layer so that nothing is allocated in steady state.
class expert_groups {
public:
  // The shards must cover the experts as validate(pipeline_graph) demands.
  explicit expert_groups(const pipeline_graph& graph);

  // ids: [rows, top_k] chosen experts in routing order. `corrupt` when an id is no expert or the
  // size is no multiple of top_k; the groups are then empty.
  status build(std::span<const int32_t> ids, uint32_t top_k);

  // Row of each slot: gather with it, then compute group by group.
  std::span<const uint32_t> rows() const { return rows_; }
  // Slot of each (row, choice), [rows, top_k]: combine with it.
  std::span<const uint32_t> slots() const { return slots_; }
  // Non-empty groups, shard by shard, local index ascending.
  std::span<const expert_group> groups() const { return groups_; }
  std::span<const shard_slots> shards() const { return shards_; }

private:
  struct place {
    uint32_t expert;
    uint32_t shard;
    uint32_t local;
  };
  std::vector<place> order_;        // experts in slot order
  std::vector<uint32_t> rank_of_;   // expert -> index into order_
  std::vector<uint32_t> next_slot_; // per rank; counts, then running slots
  std::vector<uint32_t> rows_;
  std::vector<uint32_t> slots_;
  std::vector<expert_group> groups_;
  std::vector<shard_slots> shards_;
};

} // namespace troupe::dataflow
