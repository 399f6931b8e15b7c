// Decisions about who is in: from everybody's reports to the one node that leads, the nodes that
// are out, and the next state of the cluster. Pure; the same reports give the same decisions.
#pragma once

#include "base/clock.hpp"
#include "dataflow/cluster.hpp"
#include "dataflow/phi_detector.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace troupe::dataflow {

// What one node knows about the others from their reports. Stale incarnations and repeated or
// reordered reports (by number) are ignored.
class membership_table {
public:
  membership_table(const cluster_layout& layout, const cluster_timing& timing, node_index self,
                   uint64_t incarnation);

  enum class verdict : uint8_t { taken, stale, restarted }; // restarted: first of a new incarnation
  verdict on_report(const node_report& report, time_point now);

  // Peers heard lately (not suspected), by incarnation; 0: not. Entry of self: own incarnation.
  std::vector<uint64_t> hears(time_point now) const;
  // Whether this node and `peer` hear each other (each other's present incarnation).
  bool connected(node_index peer, time_point now) const;
  // Hears a majority of the voters which hear it (itself counts when a voter).
  bool has_majority(time_point now) const;
  // Latest report of a node; nullptr when never heard.
  const node_report* report(node_index node) const;
  // Highest incarnation of `node` anybody has told of (also of self: higher than our own means we
  // are a ghost of an earlier start).
  uint64_t newest_incarnation(node_index node) const;
  // When the next peer becomes suspect unless heard.
  std::optional<time_point> next_suspicion(time_point now) const;

  // Whether this node should lead now: a voter with a majority, and no voter of a lower index that
  // it is connected to reports a majority.
  bool should_lead(time_point now) const;
};

// What the leader knows when it decides: the reports of the nodes it is connected to (its own
// among them), absent for the others.
struct leader_view {
  node_index self = no_node;
  std::vector<std::optional<node_report>> reports; // per node
};
leader_view view_of(const membership_table& table, const node_report& own, time_point now);

// Remembers how often a node was excluded, so that one that comes and goes is readmitted ever
// later.
class readmission {
public:
  readmission(const cluster_timing& timing, uint32_t nodes);
  void excluded(node_index node, time_point now);
  bool allowed(node_index node, time_point now) const;
  // Served this long without being excluded: forgiven.
  void settled(node_index node, time_point now);
  std::optional<time_point> next(time_point now) const; // when somebody next becomes allowed
};

// Who takes part: the largest set found greedily of connected, not stale nodes in which everybody
// hears everybody. From the nodes with a broken pair the one with most broken pairs goes first,
// then one that plays no role, then the highest index; the leader never goes.
std::vector<bool> choose_members(const leader_view& view, const cluster_layout& layout,
                                 const cluster_state& current);

// The next state, or nothing when the current one stands. A new one is due when members change
// (also: another incarnation), when a member reports a new generation, a stuck epoch equal to the
// current one, or a change of serving/draining that the placement must follow. When nobody can
// serve, the state has members and an empty placement. Reasons in words for the log.
struct state_change {
  cluster_state next;
  std::string why;
};
std::optional<state_change> next_state(const leader_view& view, const cluster_layout& layout,
                                       const cluster_state& current, const readmission& doors,
                                       time_point now);

} // namespace troupe::dataflow
