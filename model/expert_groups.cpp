// A counting sort: stable, so that the order of slots depends on nothing but the ids.
#include "model/expert_groups.hpp"

#include "base/check.hpp"

namespace troupe::model {

expert_grouping group_by_expert(std::span<const int32_t> ids, uint32_t top_k, uint32_t experts) {
  std::vector<uint32_t> next(experts, 0);
  for (const int32_t id : ids) {
    TROUPE_CHECK(id >= 0 && static_cast<uint32_t>(id) < experts);
    ++next[static_cast<uint32_t>(id)];
  }
  expert_grouping out;
  uint32_t begin = 0;
  for (uint32_t expert = 0; expert < experts; ++expert) {
    const uint32_t end = begin + next[expert];
    if (end > begin) out.groups.push_back({.expert = expert, .begin = begin, .end = end});
    next[expert] = begin;
    begin = end;
  }
  out.rows.resize(ids.size());
  out.slots.resize(ids.size());
  for (uint32_t i = 0; i < ids.size(); ++i) {
    const uint32_t slot = next[static_cast<uint32_t>(ids[i])]++;
    out.rows[slot] = i / top_k;
    out.slots[i] = slot;
  }
  return out;
}

} // namespace troupe::model
