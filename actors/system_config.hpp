// How the actors of a node are scheduled; the same for a node of its own and one of a cluster.
#pragma once

#include "actors/quiet_sharing.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/scheduler/coordinator.hpp>

#include <cstddef>
#include <cstdint>

namespace troupe::actors {

// Sharing wakes faster and idles cheaper than stealing; unlimited throughput would let one busy
// actor starve the others.
inline caf::actor_system_config& configure(caf::actor_system_config& config, uint32_t threads) {
  config.module_factories.push_back([](caf::actor_system& system) -> caf::actor_system::module* {
    return caf::scheduler::coordinator<quiet_sharing>::make(system, {}); // the system owns it
  });
  config.set("scheduler.max-threads", size_t{threads});
  config.set("scheduler.max-throughput", size_t{10});
  return config;
}

} // namespace troupe::actors
