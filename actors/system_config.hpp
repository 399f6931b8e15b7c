// How the actors of a node are scheduled; the same for a node of its own and one of a cluster.
#pragma once

#include <caf/actor_system_config.hpp>

#include <cstddef>
#include <cstdint>

namespace troupe::actors {

// Sharing wakes faster and idles cheaper than stealing; unlimited throughput would let one busy
// actor starve the others.
inline caf::actor_system_config& configure(caf::actor_system_config& config, uint32_t threads) {
  config.set("scheduler.policy", caf::atom("sharing"));
  config.set("scheduler.max-threads", size_t{threads});
  config.set("scheduler.max-throughput", size_t{10});
  return config;
}

} // namespace troupe::actors
