// The actors that could handle a message now, and the strategy that picks one of them.
#pragma once

#include "simulations/kernel/strategy.hpp"

#include <caf/scheduled_actor.hpp>

#include <cstdint>
#include <vector>

namespace troupe::simulations {

struct ready_job {
  caf::scheduled_actor* actor = nullptr; // holds one reference
  uint32_t machine = 0;
  uint64_t id = 0;       // of the actor, in its system
  uint64_t priority = 0; // pct
  uint64_t order = 0;    // of becoming ready, over all machines
  uint64_t since = 0;    // picks made when it became ready
};

// Bound: one entry per live actor. A pick looks at all of them: there are few at any time, since
// virtual time stands still until none is left.
class ready_list {
public:
  ready_list(uint64_t seed, const strategy_options& options);

  bool empty() const { return jobs_.empty(); }
  // Stamps a job that has just become ready …
  void stamp(ready_job& job);
  // … and lets it take part; a parked one keeps its stamp.
  void add(const ready_job& job) { jobs_.push_back(job); }

  // Takes out the next one; there must be one. Its priority may have changed: the caller keeps it.
  ready_job pick();

  // Whether a job that has just become ready is done now, while `depth` handlers of its machine are
  // on the stack, instead of taking part.
  bool overlaps(uint32_t depth);

  // Takes out all of a machine, oldest first.
  void take_machine(uint32_t machine, std::vector<ready_job>& out);

  // What an actor starts with.
  uint64_t priority(uint32_t machine, uint64_t incarnation, uint64_t actor) const;

private:
  size_t choose();
  size_t oldest() const;
  size_t highest() const;
  bool is_change();

  uint64_t seed_;
  strategy_kind kind_;
  std::vector<uint64_t> changes_; // numbers of picks, last first
  std::vector<ready_job> jobs_;
  uint64_t order_ = 0;
  uint64_t picks_ = 0;
  uint64_t overlaps_asked_ = 0;
  uint64_t lowest_;
};

} // namespace troupe::simulations
