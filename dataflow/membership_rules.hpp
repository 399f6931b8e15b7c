// Decisions about who is in: from everybody's reports to the one node that leads, the nodes that
// are out, and the next state of the cluster. Pure; the same reports give the same decisions.
#pragma once

#include "base/clock.hpp"
#include "dataflow/cluster.hpp"
#include "dataflow/node_figures.hpp"
#include "dataflow/phi_detector.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::dataflow {

// How long a peer of which nothing else is known may be silent: after that long, who has not been
// heard is not there.
duration first_allowance(const cluster_timing& timing);

// What one node knows about the others from their reports. Stale incarnations and repeated or
// reordered reports (by number) are ignored.
class membership_table {
public:
  // `started`: now; for a cluster of one voter the wait for late nodes counts from it.
  membership_table(const cluster_layout& layout, const cluster_timing& timing, node_index self,
                   uint64_t incarnation, time_point started = {});

  // restarted: the first report of an incarnation (also of the first one heard). Reports of unknown
  // nodes and of the wrong size are stale.
  enum class verdict : uint8_t { taken, stale, restarted };
  verdict on_report(const node_report& report, time_point now);

  // The transport has lost its connection to this life of the peer: the process has ended, or will
  // be heard again soon. Other lives are ignored. When it is suspect unless heard; nothing:
  // ignored.
  std::optional<time_point> on_cut_off(node_index node, uint64_t incarnation, time_point now);

  // Peers heard lately (not suspected), by incarnation; 0: not. Entry of self: own incarnation.
  std::vector<uint64_t> hears(time_point now) const;
  // Whether this node and `peer` hear each other (each other's present incarnation).
  bool connected(node_index peer, time_point now) const;
  // Hears a majority of the voters which hear it (itself counts when a voter).
  bool has_majority(time_point now) const;
  // Since when, without a break.
  std::optional<time_point> majority_since(time_point now) const;
  // Latest report of a node; nullptr when never heard.
  const node_report* report(node_index node) const;
  // Highest incarnation of `node` anybody has told of (also of self: higher than our own means we
  // are a ghost of an earlier start).
  uint64_t newest_incarnation(node_index node) const { return peers_.at(node).newest; }
  // When the next peer becomes suspect unless heard.
  std::optional<time_point> next_suspicion(time_point now) const;

  // A state that was agreed on, as far as this node knows. Older ones are ignored.
  void agreed(const cluster_state& state);
  // Whether this node should lead now: a voter with a majority, no ghost, and connected to no voter
  // with a majority that goes before it: present in the agreed state before not present, then the
  // lower index. (Two voters that do not hear each other may both lead; as soon as one of them has
  // excluded the other, that one stops. By the index alone they would exclude each other for ever.)
  // Where nobody votes: whether it may lead; who does, says the store (lease_rules).
  bool should_lead(time_point now) const;

  // For people: how suspect a peer is (phi times 1000).
  uint32_t phi_milli(node_index peer, time_point now) const;

private:
  friend struct leader_view view_of(const membership_table& table, const node_report& own,
                                    time_point now);
  struct peer {
    std::optional<node_report> report;
    phi_detector detector;
    uint64_t newest = 0;
    // Its incarnation is known since; later restarts within the first allowance do not put it off,
    // so that a node which restarts all the time is not waited for.
    time_point since{};
  };

  bool heard_lately(node_index node, time_point now) const;
  bool goes_before(const node_report& other) const;
  void note_incarnations(const node_report& report);

  cluster_layout layout_;
  cluster_timing timing_;
  duration allowance_;
  node_index self_;
  uint64_t incarnation_;
  std::vector<peer> peers_; // per node; that of self has no report
  std::optional<time_point> majority_since_;
  cluster_state agreed_;
};

// What keeps two nodes from working together.
enum class difference : uint8_t { none, model, layout };
difference difference_between(const node_report& one, const node_report& other);
// Whether this node has to go, of two that differ: the other one takes part in an epoch. When both
// do, or neither, each goes on without the other.
bool must_yield(const node_report& own, const node_report& other);

// What the leader knows when it decides: the reports of the nodes it is connected to (its own
// among them), absent for the others.
struct leader_view {
  node_index self = no_node;
  std::vector<std::optional<node_report>> reports; // per node
  // Known for so short that peers may not have told yet that they hear each other. Empty: nobody.
  std::vector<bool> fresh;
  // The majority has lasted long enough to have heard from everybody who is there …
  bool settled = true;
  // … and longer than a new cluster waits for late nodes.
  bool formation_over = true;
};
leader_view view_of(const membership_table& table, const node_report& own, time_point now);

// Remembers how often a node was excluded, so that one that comes and goes is readmitted ever
// later. Every node keeps it, from the agreed states, so that a new leader knows what the old one
// did.
class readmission {
public:
  readmission(const cluster_timing& timing, uint32_t nodes);
  // A newer state has been agreed on: who was present and is not, or has restarted, was excluded.
  void observe(const cluster_state& before, const cluster_state& after, time_point now);
  void excluded(node_index node, time_point now);
  bool allowed(node_index node, time_point now) const;
  // It is present now: readmit_max after its readmission was allowed it is forgiven.
  void settled(node_index node, time_point now);
  std::optional<time_point> next(time_point now) const; // when somebody next becomes allowed

private:
  struct door {
    duration pause{}; // the last one; zero: never excluded, or forgiven
    time_point opens{};
  };
  duration first_;
  duration max_;
  std::vector<door> doors_; // per node
};

// When load alone may be the reason for a new epoch: rebalance_every after the last one. Every node
// keeps it, like readmission.
class rebalance_pause {
public:
  explicit rebalance_pause(const cluster_timing& timing) : every_(timing.rebalance_every) {}
  void observe(time_point now) { since_ = now; } // a newer state has been agreed on
  bool over(time_point now) const {
    return every_ > duration::zero() && since_ && now - *since_ >= every_;
  }

private:
  duration every_;
  std::optional<time_point> since_;
};

// What the nodes in the view have told that a placement goes by.
plan_figures figures_of(const std::vector<std::optional<node_report>>& reports);

// Who takes part: the largest set found greedily of connected, not stale nodes in which everybody
// hears everybody. From the nodes with a broken pair the one with most broken pairs goes first,
// then one that is not present now, then one that plays no role, then the highest index; the leader
// never goes.
std::vector<bool> choose_members(const leader_view& view, const cluster_layout& layout,
                                 const cluster_state& current);

// The next state, or nothing when the current one stands. A new one is due when members change
// (also: another incarnation), when a member reports a new generation, a stuck epoch equal to the
// current one, or a change of serving/draining that the placement must follow. When nobody can
// serve, or the parts have no room, the state has members and an empty placement. Reasons in words
// for the log.
//
// Where nothing else is a reason and `load_may_decide`, one role is changed for the load's sake
// (balance_load), once everybody works by the current state.
//
// Nothing is decided on what may be too old or too new: while a report knows of a later epoch than
// `current` or of less than `current` does, while the leader has not led long enough to miss
// anybody, while a restarted member is still making itself known.
struct state_change {
  cluster_state next;
  std::string why;
  bool by_load = false;     // alone
  std::string no_room = {}; // why nobody plays anything although somebody could; else empty
};
std::optional<state_change> next_state(const leader_view& view, const cluster_layout& layout,
                                       const cluster_state& current, const readmission& doors,
                                       time_point now, bool load_may_decide = false);

} // namespace troupe::dataflow
