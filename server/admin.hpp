// What a node tells of its cluster to whoever has the admin key.
#pragma once

#include "actors/cluster_picture.hpp"
#include "actors/engine.hpp"

#include <string>

namespace troupe::server {

struct admin_page {
  const actors::cluster_picture& cluster;
  const actors::engine_metrics& engine;
  uint64_t streams_open = 0; // at this node's door
};

// JSON; docs/cluster.md describes every member.
std::string cluster_json(const admin_page& page);

} // namespace troupe::server
