// What a node remembers of its earlier lives, and how it begins the next one.
#pragma once

#include "base/status.hpp"
#include "schemas/cluster_messages.hpp"
#include "storage/disk.hpp"

#include <cstdint>
#include <string>

namespace troupe::cli {

struct node_memory {
  uint64_t incarnation = 0; // already stored
  schemas::acceptor_state votes;
  bool remembers = true; // false: a voter that has lost its memory, or has none yet
  std::string warning;   // for the operator; empty: all is as it should be
};

struct node_memory_args {
  std::string folder; // for messages
  bool voter = false;
  bool form = false;    // the cluster begins its life now
  uint64_t wall_ms = 0; // the incarnation is no less, so that it rises even when the disk is lost
};

// Fails, and then the node must not start, when something is there that cannot be read: a number
// that was used before would make it its own ghost, and a vote that is forgotten breaks a promise.
result<node_memory> recall(storage::disk& disk, const node_memory_args& args);

} // namespace troupe::cli
