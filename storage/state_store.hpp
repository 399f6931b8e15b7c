// The seam to a store outside the cluster that keeps the agreed state and says who leads (etcd).
// There no node votes: the holder of the store's one lease decides, and the store refuses what
// anybody else writes.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "schemas/cluster_messages.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace troupe::storage {

// Who leads, and the lease that it leads by.
struct store_leader {
  std::string node;
  uint64_t incarnation = 0;
  uint64_t lease = 0;
  uint64_t since = 0; // grows with every leader; what is written under an earlier one is refused
  friend bool operator==(const store_leader&, const store_leader&) = default;
};

// What the store held at one moment.
struct store_contents {
  std::optional<store_leader> leader;
  uint64_t revision = 0; // of the state, grows with every change; 0: none was ever stored
  uint64_t layout = 0;   // fingerprint of the layout that the state is of
  schemas::cluster_state state;
  friend bool operator==(const store_contents&, const store_contents&) = default;
};

struct store_answer {
  bool done = false; // what was asked for has happened
  store_contents now;
};

// For people.
struct store_counters {
  uint64_t calls = 0;
  uint64_t failures = 0; // calls without an answer that makes sense
  uint64_t refusals = 0; // changes that came too late
  bool reachable = false;
};

// No call waits: `answered` is called once for each, on another thread or within the call; it must
// not block. A failure of a change may mean that it was made and the answer lost: read() tells. Any
// thread. Whoever calls bounds how many calls are under way.
class state_store {
public:
  using answered = std::function<void(result<store_answer>)>;

  virtual ~state_store() = default;
  // No older than the call (linearizable).
  virtual void read(answered then) = 0;
  // Makes `node` the leader unless there is one. Without keep() that ends when `term` is over.
  // `now.leader` says who leads.
  virtual void campaign(const std::string& node, uint64_t incarnation, duration term,
                        answered then) = 0;
  // Another term from when it was asked for; not `done`: the lease has ended. `now` is empty.
  virtual void keep(uint64_t lease, answered then) = 0;
  // Makes `next` (layout, state) the state if `leader` still leads and the state is still of
  // `next.revision`. `now` is what follows.
  virtual void replace(const store_leader& leader, const store_contents& next, answered then) = 0;
  // Ends a lease, also that of somebody else who is gone. Done also when it had ended. `now` is
  // empty.
  virtual void end(uint64_t lease, answered then) = 0;

  virtual store_counters counters() const = 0;
};

} // namespace troupe::storage
