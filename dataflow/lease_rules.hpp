// Who leads where the agreed state is kept in a store outside the cluster: who holds the store's
// lease. Decides when to reach for the lease, when to give it up, and when to end that of a leader
// that is gone. Pure.
//
// Nothing here has to be right for the state to be safe: the store refuses what is not written
// under the lease. It has to be right for a cluster that always has a leader, and a good one.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "dataflow/membership_rules.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace troupe::dataflow {

struct lease_timing {
  duration term = std::chrono::seconds(2); // of a leader that is silent
  duration keep_every = std::chrono::milliseconds(500);
  duration fence_early = std::chrono::milliseconds(200); // its end is meant so much sooner
  duration read_every = std::chrono::milliseconds(200);  // by who does not lead
  duration retry_after = std::chrono::milliseconds(250); // when the store did not answer
  // So long an absent leader is left to nodes that are better placed to become it.
  duration defer = std::chrono::seconds(1);
  // Whoever was not running for longer knows too little of the others for a while.
  duration gap_max = std::chrono::milliseconds(400);
};
status validate(const lease_timing& timing);

struct lease_holder {
  node_index node = no_node; // no_node: a name that is not in the layout
  uint64_t incarnation = 0;
  uint64_t lease = 0;
  friend bool operator==(const lease_holder&, const lease_holder&) = default;
};

// How this node stands.
struct lease_outlook {
  bool may_lead = false;    // no later start of this node is known
  bool in_touch = false;    // hears at least half of the nodes that are present
  bool preferred = false;   // is present, or hears nobody who is
  bool holder_gone = false; // a later life of it is known, or nobody about hears it
};
// `view`: from this node's own membership; `holder`: who leads, if anybody.
lease_outlook look_around(const leader_view& view, bool may_lead, const cluster_state& known,
                          const std::optional<lease_holder>& holder);

class lease_keeper {
public:
  // `allowance`: after a gap of its own, the node has heard from everybody who is there.
  lease_keeper(const lease_timing& timing, duration allowance, node_index self,
               uint64_t incarnation, time_point now);

  // What to ask the store for, one thing at a time; it says how that went by one of the calls
  // below. To be asked several times a second, also while an answer is waited for: a long gap
  // between two of these is one in which the node did not run.
  enum class step : uint8_t { wait, read, campaign, keep, end };
  step next(const lease_outlook& outlook, time_point now);

  // The store was read.
  void seen(const std::optional<lease_holder>& holder, time_point now);
  // The store's answer to a campaign that was begun at `asked`. `in_touch`: as it was then.
  void campaigned(const std::optional<lease_holder>& holder, bool in_touch, time_point asked,
                  time_point now);
  void kept(time_point asked);
  // The lease that this node held, or the holder's that it asked to end, has ended.
  void ended(time_point now);
  void failed(time_point now); // no answer
  void unsure();               // what the store holds must be read before anything is decided

  // Holds the lease, and by its own clock the store cannot have given it to another.
  bool leads(time_point now) const { return term_ && now < fence_; }
  // Leads, knows what the store holds, and has been running for long enough.
  bool may_decide(time_point now) const { return leads(now) && informed_ && steady(now); }
  const std::optional<lease_holder>& holder() const { return holder_; }
  // Whose lease `end` is about. Requires holder().
  uint64_t lease() const { return holder_->lease; }

private:
  bool steady(time_point now) const { return now - steady_since_ >= allowance_; }
  bool is_self(const lease_holder& holder) const;
  step next_of_leader(const lease_outlook& outlook, time_point now);

  lease_timing timing_;
  duration allowance_;
  node_index self_;
  uint64_t incarnation_;
  std::optional<lease_holder> holder_; // as last read
  bool informed_ = false;              // holder_ is what the store said last
  bool term_ = false;                  // it is this node, and it knows of it
  bool lonely_ = false; // has led out of touch from the beginning: there is nobody better
  time_point fence_{};
  time_point kept_at_{};
  time_point read_at_{};
  time_point not_before_{};
  time_point looked_;
  time_point steady_since_;
  std::optional<time_point> absent_since_;
};

} // namespace troupe::dataflow
