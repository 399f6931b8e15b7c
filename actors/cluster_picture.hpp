// What a node knows of its cluster at one moment, with names instead of numbers; for people and
// programs that watch.
#pragma once

#include "base/clock.hpp"
#include "transport/endpoint.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::actors {

struct member_picture {
  std::string name;
  uint64_t incarnation = 0; // 0: never seen
  bool voter = false;
  bool present = false;   // takes part in the epoch
  bool serving = false;   // may play roles
  bool connected = false; // to the node that tells
  std::vector<std::string> roles;
  // As it told the node that tells.
  uint32_t speed = 0;        // eighths of octaves; 0: not known
  uint64_t memory = 0;       // bytes for weights and KV pages; 0: not known
  uint64_t memory_roles = 0; // that its roles take of it
};

// Something of the cluster was lost, and a later epoch went on without it.
struct recovery_picture {
  uint64_t epoch = 0;            // that went on
  std::vector<std::string> lost; // nodes; empty: a part was restarted or a step was stuck
  duration took{};               // from knowing of the loss until the epoch served, on this node
  int64_t wall_seconds = 0;      // when it served
  // On the steady clock of the machine; nothing: did not happen on this node.
  std::optional<time_point> suspected = {}; // who was lost
  time_point known{};                       // the state that goes on without
  std::optional<time_point> ready = {};     // the parts of this node
  time_point served{};                      // the epoch
  std::optional<time_point> flowing = {};   // first tokens at this node's door
};

// As gateway_counters, read.
struct gateway_picture {
  uint64_t stale = 0, corrupt = 0, misrouted = 0, resent = 0;
  uint64_t unacknowledged = 0, waiting = 0, held = 0;
};

struct cluster_picture {
  std::string self;
  uint64_t incarnation = 0;
  uint64_t epoch = 0; // 0: none is known yet
  uint64_t kv_version = 0;
  bool serving = false;  // this epoch has begun, and a majority of the voters can be reached
  bool majority = false; // of the voters can be reached, this node among them
  bool draining = false;
  bool drained = false; // nothing of the cluster depends on this node
  std::string gave_up;  // why the process should end; empty: it should not
  bool unfit = false;   // … and starting it again as it is would change nothing
  std::vector<member_picture> members;
  std::string sequencer;                        // empty: nobody
  std::vector<std::string> stages;              // by number
  std::vector<std::vector<std::string>> shards; // by number: the copies, preferred first
  std::vector<uint64_t> shard_rows;             // by number: rows of late, at all routers
  std::string no_room; // why nobody plays anything although somebody could; else empty
  uint64_t recoveries = 0;
  std::optional<recovery_picture> last_recovery;
  gateway_picture gateway;
  transport::endpoint_counters transport;
};

} // namespace troupe::actors
