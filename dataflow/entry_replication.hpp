// How a request that this node keeps comes to be kept by other nodes as well: which ones hear of
// it, when that is done, and when it is given up. Pure.
#pragma once

#include "base/clock.hpp"
#include "dataflow/cluster.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace troupe::dataflow {

struct replication_limits {
  uint32_t peers_max = 8;                  // nodes that hear of an entry
  uint32_t open_max = 1024;                // entries that are waited for
  uint64_t bytes_max = uint64_t{32} << 20; // of them
  // A client's first byte waits no longer than this: for any answer at all …
  duration patience = std::chrono::milliseconds(250);
  // … and for the other nodes' when one has answered. A peer that is slow, or was lost and is not
  // known to be, holds nobody up.
  duration grace = std::chrono::milliseconds(20);
};

// Entries of one node, by the numbers it gives them.
class entry_replication {
public:
  entry_replication(const replication_limits& limits, node_index self)
      : limits_(limits), self_(self) {}

  struct outcome {
    uint64_t number = 0;
    bool kept = false; // by another node at least
    friend bool operator==(const outcome&, const outcome&) = default;
  };
  using outcomes = std::vector<outcome>;

  // Who takes part from now on: its incarnation, 0 of who does not. Nobody waits any longer for a
  // node that has gone or started again.
  outcomes meet(std::vector<uint64_t> incarnations);

  struct dispatch {
    uint64_t number = 0;
    std::vector<node_index> to;
  };
  // Absent: nobody else is there, or too much is under way.
  std::optional<dispatch> begin(uint64_t bytes, time_point now);

  // What nobody waits for, and who was not asked, changes nothing.
  std::optional<outcome> answered(uint64_t number, node_index by, bool kept, time_point now);

  // What has been waited for long enough.
  outcomes due(time_point now);
  std::optional<time_point> next_due() const;
  outcomes end(); // everything

private:
  struct open_entry {
    std::map<node_index, uint64_t> awaited; // incarnations
    uint64_t bytes = 0;
    bool kept = false;
    time_point until;
  };
  using position = std::map<uint64_t, open_entry>::iterator;

  position settle(position entry, outcomes& out);

  replication_limits limits_;
  node_index self_;
  std::vector<uint64_t> incarnations_;  // by node
  std::map<uint64_t, open_entry> open_; // by number
  uint64_t bytes_ = 0;
  uint64_t last_ = 0;
};

} // namespace troupe::dataflow
