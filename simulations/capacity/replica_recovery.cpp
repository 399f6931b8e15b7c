// What failures do to a replica, and how it comes back.
#include "base/check.hpp"
#include "dataflow/placement.hpp"
#include "simulations/capacity/replica.hpp"

#include <algorithm>

namespace troupe::simulations::capacity {

// The memory of these nodes is gone, whatever happens next.
void replica::fail_nodes(nanoseconds now, const failure_event& failure,
                         std::span<const uint32_t> nodes, double part_of_gap) {
  bool interrupts = false;
  for (const uint32_t node : nodes) {
    node_serves_[node] = false;
    ++node_failures_[node];
    world_.events.add({.at = now + failure.lasts,
                       .number = 0,
                       .kind = event_kind::node_back,
                       .replica = index_,
                       .value = node,
                       .epoch = 0});
    interrupts = interrupts || works(held_, node);
    for (auto& stage : held_.stages) {
      if (stage != node) continue;
      stage = dataflow::no_node;
      pages_lost_ = true;
    }
    for (auto& copies : held_.shards) std::erase(copies, node);
    if (held_.sequencer == node) held_.sequencer = dataflow::no_node;
  }
  recovery_record record;
  record.failure = failure;
  record.replica = index_;
  // Without work for it nothing stops until the others have agreed.
  record.times.detect =
      interrupts ? detection_time(failure, world_.recovery.timing, part_of_gap) : 0;
  begin_recovery(now, std::move(record));
}

// Also while another recovery is under way: it begins anew with what is left.
void replica::begin_recovery(nanoseconds now, recovery_record record) {
  ++epoch_;
  interrupt_all();
  record.streams = refilling_;
  record.times.decide = decision_time(world_.plan, world_.recovery);
  known_down_at_ = serving_ ? now + record.times.detect : std::min(now, known_down_at_);
  serving_ = false;
  recovery_ = static_cast<uint32_t>(world_.recoveries.size());
  world_.recoveries.push_back(std::move(record));
  restore(now);
}

// Every step is void and every stream has to begin again, with the pages that are left.
void replica::interrupt_all() {
  for (auto& each : steps_) each.active = false;
  steps_under_way_ = 0;
  while (!running_.empty()) {
    const uint32_t request = running_.back();
    auto& record = world_.requests[request];
    if (!record.refilling) ++refilling_;
    record.refilling = true;
    preempt(request);
  }
}

// Books the return to service, or waits for a node when those that are left cannot hold the model.
void replica::restore(nanoseconds now) {
  auto& record = world_.recoveries[*recovery_];
  auto next = settled_placement(world_.plan, held_, node_serves_);
  if (!dataflow::complete(next, world_.plan.layout) || !kv_tokens_of(world_.plan, next)) {
    if (!down_since_) down_since_ = now + record.times.detect + record.times.decide;
    return;
  }
  if (down_since_) record.down = std::max<nanoseconds>(0, now - *down_since_);
  const nanoseconds begin =
      down_since_ ? std::max(now, *down_since_) : now + record.times.detect + record.times.decide;
  down_since_.reset();
  record.times.restore = restore_time(world_.plan, world_.recovery, held_, next);
  if (next.stages != held_.stages) pages_lost_ = true;
  where_ = std::move(next);
  world_.events.add({.at = begin + record.times.restore,
                     .number = 0,
                     .kind = event_kind::resume,
                     .replica = index_,
                     .value = 0,
                     .epoch = epoch_});
}

void replica::resume(nanoseconds now) {
  note_kv(now);
  held_ = where_;
  const uint64_t tokens = kv_tokens_of(world_.plan, where_).value();
  if (tokens / world_.plan.page_tokens != kv_->pages()) {
    earlier_queried_ += kv_->queried_tokens();
    earlier_hits_ += kv_->hit_tokens();
    kv_ = make_kv(tokens);
  } else if (pages_lost_) {
    kv_->clear();
  }
  pages_lost_ = false;
  std::fill(stage_free_.begin(), stage_free_.end(), now);
  std::fill(node_free_.begin(), node_free_.end(), now);
  serving_ = true;
  auto& record = world_.recoveries[*recovery_];
  record.resumed = now;
  if (refilling_ == 0) {
    record.finished = true;
    recovery_.reset();
  }
  plan_step(now);
}

void replica::go_on(nanoseconds now, uint32_t request) {
  world_.requests[request].refilling = false;
  TROUPE_CHECK(refilling_ > 0);
  if (--refilling_ > 0 || !recovery_) return;
  auto& record = world_.recoveries[*recovery_];
  record.refill = now - record.resumed;
  record.finished = true;
  recovery_.reset();
}

// `value` beyond the nodes: it tries again to come back.
void replica::node_back(nanoseconds now, uint32_t value) {
  const auto nodes = static_cast<uint32_t>(node_serves_.size());
  const uint32_t node = value % nodes;
  if (value < nodes) {
    TROUPE_CHECK(node_failures_[node] > 0);
    --node_failures_[node];
  }
  if (node_failures_[node] > 0) return;
  if (!serving_ && !down_since_) { // the recovery under way goes on without it
    world_.events.add({.at = now + world_.recovery.timing.readmit_first.count(),
                       .number = 0,
                       .kind = event_kind::node_back,
                       .replica = index_,
                       .value = node + nodes,
                       .epoch = 0});
    return;
  }
  if (node_serves_[node]) return;
  node_serves_[node] = true;
  if (down_since_) return restore(now);
  recovery_record record;
  record.replica = index_;
  record.planned = true;
  record.failure.at = now;
  record.failure.node = node;
  begin_recovery(now, std::move(record));
}

void replica::slow_down(nanoseconds now, const failure_event& failure, uint32_t node) {
  const bool computes = failure.kind == failure_kind::slow_compute;
  (computes ? compute_factor_ : network_factor_)[node] = failure.factor;
  world_.events.add({.at = now + failure.lasts,
                     .number = 0,
                     .kind = event_kind::fast_again,
                     .replica = index_,
                     .value = node * 2 + (computes ? 0u : 1u),
                     .epoch = 0});
}

} // namespace troupe::simulations::capacity
