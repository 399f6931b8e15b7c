// Makes the actor that plays a role, from what the node has.
#pragma once

#include "actors/node_supervisor.hpp"
#include "base/status.hpp"

#include <caf/actor.hpp>

namespace troupe::actors {

// `number`: what the part calls itself to the supervisor. Fails when memory cannot be had.
result<caf::actor> make_part(caf::actor_system& system, const node_resources& resources,
                             const dataflow::role& who, uint32_t number);

} // namespace troupe::actors
