// A coordinator for a cluster whose agreed state is kept in a store outside of it: the protocol is
// that of coordinator.hpp, but no node votes. Who holds the store's lease decides, and the store
// refuses what anybody else writes.
#pragma once

#include "actors/coordinator.hpp"
#include "dataflow/lease_rules.hpp"
#include "storage/state_store.hpp"

namespace troupe::actors {

// Everything pointed to outlives the actor.
struct store_coordinator_options {
  const dataflow::cluster_layout* layout = nullptr; // without voters
  const dataflow::cluster_timing* timing = nullptr;
  dataflow::lease_timing lease;
  schemas::node_index self = 0;
  uint64_t incarnation = 0;
  storage::state_store* store = nullptr;
  const clock* time = nullptr;
  troupe::trace* trace = nullptr;
  actors::gateway gateway;
  cluster_watcher supervisor;
};

// Whoever sends it views hears `leading_changed`.
coordinator spawn_store_coordinator(caf::actor_system& system,
                                    const store_coordinator_options& options);

} // namespace troupe::actors
