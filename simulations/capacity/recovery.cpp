// Detection by the production detector, placement by the production planner, the rest by bandwidth.
#include "simulations/capacity/recovery.hpp"

#include "dataflow/phi_detector.hpp"
#include "dataflow/placement.hpp"

#include <algorithm>

namespace troupe::simulations::capacity {
namespace {

constexpr uint32_t reports_heard = 64;
constexpr uint32_t moves_max = 4096;
constexpr double vote_messages = 4;  // prepare, promise, accept, accepted
constexpr double epoch_messages = 3; // the new state, "ready", "go"

time_point at(nanoseconds when) {
  return time_point(duration(when));
}

bool has(const std::vector<dataflow::node_index>& nodes, dataflow::node_index node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

} // namespace

nanoseconds detection_time(const failure_event& failure, const dataflow::cluster_timing& timing,
                           double part_of_gap) {
  const nanoseconds gap = timing.report_every.count();
  const auto waited = static_cast<nanoseconds>(part_of_gap * static_cast<double>(gap));
  if (failure.hang) return timing.step_max.count();
  if (failure.kind == failure_kind::device) return 0; // reported at once
  dataflow::phi_detector detector({.threshold = timing.suspect_phi,
                                   .expected = timing.report_every,
                                   .deviation_min = timing.report_every / 4,
                                   .pause_allowed = timing.pause_allowed,
                                   .silence_max = timing.silence_max});
  nanoseconds now = 0;
  for (uint32_t n = 0; n < reports_heard; ++n, now += gap) detector.heard(at(now));
  const nanoseconds last = now - gap;
  return std::max<nanoseconds>(0, (detector.suspect_at() - at(last)).count() - waited);
}

nanoseconds decision_time(const system_plan& plan, const recovery_options& options) {
  const double network_ns = plan.device.network_us * 1e3;
  return static_cast<nanoseconds>((vote_messages + epoch_messages) * network_ns +
                                  options.decide_ms * 1e6);
}

nanoseconds restore_time(const system_plan& plan, const recovery_options& options,
                         const dataflow::placement& before, const dataflow::placement& after) {
  std::vector<double> bytes(plan.nodes_per_replica, 0.0);
  bool anything = false;
  for (uint32_t n = 0; n < after.stages.size(); ++n) {
    if (n < before.stages.size() && before.stages[n] == after.stages[n]) continue;
    bytes[after.stages[n]] += stage_bytes(plan, n);
    anything = true;
  }
  for (uint32_t n = 0; n < after.shards.size(); ++n) {
    const auto& copies = after.shards[n];
    const bool lives = std::any_of(copies.begin(), copies.end(), [&](dataflow::node_index node) {
      return n < before.shards.size() && has(before.shards[n], node);
    });
    if (lives) continue;
    bytes[copies.front()] += shard_bytes(plan, n);
    anything = true;
  }
  if (!anything) return 0;
  const double gb_per_s =
      options.restore_from_peer ? plan.device.network_gb_per_s : plan.device.disk_gb_per_s;
  const double most = *std::max_element(bytes.begin(), bytes.end());
  return static_cast<nanoseconds>((plan.device.part_start_s + most / (gb_per_s * 1e9)) * 1e9);
}

dataflow::placement settled_placement(const system_plan& plan, const dataflow::placement& current,
                                      const std::vector<bool>& serving) {
  auto where = dataflow::plan_placement(plan.layout, current, serving);
  for (uint32_t n = 0; n < moves_max; ++n) {
    auto next = dataflow::plan_placement(plan.layout, where, serving);
    if (next == where) break;
    where = std::move(next);
  }
  return where;
}

bool works(const dataflow::placement& where, dataflow::node_index node) {
  if (where.sequencer == node || has(where.stages, node)) return true;
  return std::any_of(where.shards.begin(), where.shards.end(),
                     [node](const auto& copies) { return copies.front() == node; });
}

} // namespace troupe::simulations::capacity
