// Protocol of the coordinator: a vote in the register that holds the cluster's state, and, where
// this node leads, the next state.
#pragma once

#include "actors/gateway.hpp"
#include "actors/wiring.hpp"
#include "base/clock.hpp"
#include "base/trace.hpp"
#include "dataflow/cluster.hpp"
#include "dataflow/membership_rules.hpp"
#include "schemas/cluster_messages.hpp"
#include "schemas/frame.hpp"

#include <functional>

namespace troupe::actors {

// From the endpoint: a message of the register, or a newer state.
struct vote_arrived {
  schemas::node_index from = schemas::no_node;
  uint64_t incarnation = 0;
  local_ref<schemas::frame_body> body;
};

// What the leader decides by. Where nobody votes every node has a view, and should_lead says
// whether it may.
struct leading_view {
  dataflow::leader_view view;
  bool should_lead = false;
};
// From the membership, several times a second.
struct view_changed {
  local_ref<leading_view> now;
};

// The agreed state is newer than what the node works by.
struct apply_state {
  local_ref<schemas::cluster_state> state;
};
// Every node that takes part is ready for this epoch.
struct epoch_go {
  uint64_t epoch = 0;
};
// A later start of this node has been heard of: this one must end.
struct node_outdated {
  uint64_t incarnation = 0; // of the later one
};

// To whoever sends views, where a store says who leads (store_coordinator.hpp).
struct leading_changed {
  bool leads = false;
};
using leadership_watcher = caf::typed_actor<caf::reacts_to<leading_changed>>;

// What membership and coordinator tell the supervisor.
using cluster_watcher = caf::typed_actor<caf::reacts_to<apply_state>, caf::reacts_to<epoch_go>,
                                         caf::reacts_to<node_outdated>>;

using coordinator = caf::typed_actor<caf::reacts_to<vote_arrived>, caf::reacts_to<view_changed>,
                                     caf::reacts_to<stop_part>>;

// Keeps a voter's state durable: stores it elsewhere than on an actor's thread and then calls
// `done`. Must not block.
using vote_keeper = std::function<void(const schemas::acceptor_state& state,
                                       std::function<void(const status&)> done)>;

// Everything pointed to outlives the actor.
struct coordinator_options {
  const dataflow::cluster_layout* layout = nullptr;
  const dataflow::cluster_timing* timing = nullptr;
  schemas::node_index self = 0;
  uint64_t incarnation = 0;
  schemas::acceptor_state votes; // as last stored
  bool remembers = true;         // false: this voter's memory is gone
  vote_keeper keep_votes;
  const clock* time = nullptr;
  troupe::trace* trace = nullptr;
  actors::gateway gateway;
  cluster_watcher supervisor;
};

coordinator spawn_coordinator(caf::actor_system& system, const coordinator_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, vote_arrived& x) {
  return f(caf::meta::type_name("vote_arrived"), x.from, x.incarnation, x.body);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, view_changed& x) {
  return f(caf::meta::type_name("view_changed"), x.now);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, leading_changed& x) {
  return f(caf::meta::type_name("leading_changed"), x.leads);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, apply_state& x) {
  return f(caf::meta::type_name("apply_state"), x.state);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, epoch_go& x) {
  return f(caf::meta::type_name("epoch_go"), x.epoch);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, node_outdated& x) {
  return f(caf::meta::type_name("node_outdated"), x.incarnation);
}

} // namespace troupe::actors
