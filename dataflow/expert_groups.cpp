// A counting sort with one bucket per expert, in shard order.
#include "dataflow/expert_groups.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

namespace troupe::dataflow {

expert_groups::expert_groups(const pipeline_graph& graph) {
  TROUPE_CHECK(validate(graph).ok());
  rank_of_.resize(graph.experts);
  for (uint32_t shard = 0; shard < graph.shards.size(); ++shard) {
    for (uint32_t local = 0; local < graph.shards[shard].count; ++local) {
      const uint32_t expert = graph.shards[shard].expert(local);
      rank_of_[expert] = static_cast<uint32_t>(order_.size());
      order_.push_back({expert, shard, local});
    }
  }
  shards_.resize(graph.shards.size());
}

status expert_groups::build(std::span<const int32_t> ids, uint32_t top_k) {
  rows_.clear();
  slots_.clear();
  groups_.clear();
  shards_.assign(shards_.size(), {});
  next_slot_.assign(order_.size(), 0);
  if (top_k == 0 || ids.size() % top_k != 0)
    return {status_code::corrupt, text(ids.size(), " choices are no rows of ", top_k)};
  for (size_t n = 0; n < ids.size(); ++n) {
    if (ids[n] < 0 || static_cast<uint32_t>(ids[n]) >= order_.size())
      return {status_code::corrupt,
              text("row ", n / top_k, " chose expert ", ids[n], " of ", order_.size())};
    ++next_slot_[rank_of_[static_cast<uint32_t>(ids[n])]];
  }
  uint32_t slot = 0;
  uint32_t rank = 0;
  for (uint32_t shard = 0; shard < shards_.size(); ++shard) {
    shards_[shard].slot_begin = slot;
    shards_[shard].group_begin = static_cast<uint32_t>(groups_.size());
    for (; rank < order_.size() && order_[rank].shard == shard; ++rank) {
      const uint32_t count = next_slot_[rank];
      next_slot_[rank] = slot;
      if (count > 0)
        groups_.push_back({order_[rank].expert, order_[rank].local, slot, slot + count});
      slot += count;
    }
    shards_[shard].slot_end = slot;
    shards_[shard].group_end = static_cast<uint32_t>(groups_.size());
  }
  rows_.resize(ids.size());
  slots_.resize(ids.size());
  for (size_t n = 0; n < ids.size(); ++n) {
    slots_[n] = next_slot_[rank_of_[static_cast<uint32_t>(ids[n])]]++;
    rows_[slots_[n]] = static_cast<uint32_t>(n / top_k);
  }
  return {};
}

} // namespace troupe::dataflow
