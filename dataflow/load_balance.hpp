// Placement by load alone: which single role to change when some shards have more to do than
// others, and how rows are counted for that.
#pragma once

#include "base/clock.hpp"
#include "dataflow/node_figures.hpp"
#include "dataflow/placement.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace troupe::dataflow {

// Rows of each shard of late: what was counted in a second weighs a sixteenth less with every
// second that follows, so half of it is forgotten after eleven.
class row_window {
public:
  explicit row_window(size_t shards) : totals_(shards, 0), rows_(shards, 0) {}
  bool due(time_point now) const;
  // Rows counted since the start. Totals that are less than before are those of a new count.
  void observe(std::span<const uint64_t> totals, time_point now);
  const std::vector<uint64_t>& rows() const { return rows_; }

private:
  std::optional<time_point> begun_;
  std::vector<uint64_t> totals_;
  std::vector<uint64_t> rows_;
};

// The time each node needs for the work that goes to it. A shard is asked at the copy beside the
// router that asks, else at its preferred copy; the copies of one that has more than shard_copies
// take turns.
std::vector<uint64_t> busy_times(const cluster_layout& layout, const placement& where,
                                 const std::vector<bool>& serving, const plan_figures& figures);

// What one change of a role makes of the busiest node: another copy is preferred, a copy moves, or
// a shard that the busiest node works at gets another copy, at most shard_copies_max. Nothing: no
// change makes the largest of busy_times smaller by an eighth (each costs the cluster an epoch), or
// rows do not count. Stages stay, for their KV pages would be lost; no node gets more bytes than it
// has.
std::optional<placement> balance_load(const cluster_layout& layout, const placement& current,
                                      const std::vector<bool>& serving,
                                      const plan_figures& figures);

} // namespace troupe::dataflow
