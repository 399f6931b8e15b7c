// Protocol of the membership: reports to and from every other node, who is heard and who is not,
// and whether everybody is ready for an epoch.
#pragma once

#include "actors/coordinator.hpp"
#include "actors/gateway.hpp"
#include "actors/wiring.hpp"
#include "base/clock.hpp"
#include "base/trace.hpp"
#include "dataflow/cluster.hpp"
#include "dataflow/node_figures.hpp"
#include "dataflow/pipeline.hpp"
#include "schemas/cluster_messages.hpp"

#include <functional>
#include <string>

namespace troupe::actors {

class metrics_board;

// From the endpoint: what another node says of itself.
struct report_arrived {
  local_ref<schemas::node_report> report;
};

// From the endpoint: the connection to this life of a node has ended.
struct peer_cut_off {
  schemas::node_index node = schemas::no_node;
  uint64_t incarnation = 0;
};

// From the supervisor: how this node's parts are.
struct node_condition {
  uint64_t epoch_ready = 0;
  uint64_t epoch_stuck = 0;
  uint64_t generation = 0;
  uint64_t stages_lost = 0;
  bool serving = true;
};

// From the supervisor: the newest agreed state.
struct state_learned {
  local_ref<schemas::cluster_state> state;
};

// From the front door: hand over what is here and leave.
struct begin_drain {
  uint64_t reason = 0; // for traces only
};

struct membership_peers {
  actors::gateway gateway;
  actors::coordinator coordinator;
  cluster_watcher supervisor;
};

using membership = caf::typed_actor<caf::reacts_to<report_arrived>, caf::reacts_to<peer_cut_off>,
                                    caf::reacts_to<node_condition>, caf::reacts_to<state_learned>,
                                    caf::reacts_to<begin_drain>, caf::reacts_to<leading_changed>,
                                    caf::reacts_to<stop_part>>;

// Everything pointed to outlives the actor.
struct membership_options {
  const dataflow::cluster_layout* layout = nullptr;
  const dataflow::cluster_timing* timing = nullptr;
  schemas::node_index self = 0;
  uint64_t incarnation = 0;
  uint64_t model = 0; // as in schemas::node_report
  uint64_t layout_number = 0;
  dataflow::node_figures figures = {}; // of this node, as it tells them
  const metrics_board* board = nullptr;
  const dataflow::pipeline_graph* graph = nullptr; // which expert is of which shard
  const clock* time = nullptr;
  troupe::trace* trace = nullptr;
  membership_peers peers;
  // A drain is over: nothing of the cluster depends on this node. Must not block.
  std::function<void()> drained;
  // Hears every report that is taken, those of this node among them. Must not block; may be empty.
  std::function<void(const schemas::node_report&)> heard = {};
  // The others compute something else: this node can never take part. Must not block.
  std::function<void(const std::string& why)> unfit = {};
};

membership spawn_membership(caf::actor_system& system, const membership_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, report_arrived& x) {
  return f(caf::meta::type_name("report_arrived"), x.report);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, peer_cut_off& x) {
  return f(caf::meta::type_name("peer_cut_off"), x.node, x.incarnation);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, node_condition& x) {
  return f(caf::meta::type_name("node_condition"), x.epoch_ready, x.epoch_stuck, x.generation,
           x.stages_lost, x.serving);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, state_learned& x) {
  return f(caf::meta::type_name("state_learned"), x.state);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, begin_drain& x) {
  return f(caf::meta::type_name("begin_drain"), x.reason);
}

} // namespace troupe::actors
