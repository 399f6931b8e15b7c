// Sorting (row, choice) pairs by expert, for a runner that holds all experts itself.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace troupe::model {

struct expert_group {
  uint32_t expert = 0;
  uint32_t begin = 0; // slots [begin, end)
  uint32_t end = 0;
};

struct expert_grouping {
  std::vector<uint32_t> rows;       // of each slot
  std::vector<uint32_t> slots;      // of each (row, choice)
  std::vector<expert_group> groups; // non-empty, by expert; rows ascend within one
};

// ids: [rows, top_k], each below `experts`.
expert_grouping group_by_expert(std::span<const int32_t> ids, uint32_t top_k, uint32_t experts);

} // namespace troupe::model
