// Protocol of the node supervisor: it starts every part that the agreed state gives to this node,
// wires them, restarts those that fail, and ends them in order.
#pragma once

#include "actors/coordinator.hpp"
#include "actors/gateway.hpp"
#include "actors/membership.hpp"
#include "actors/node.hpp"
#include "actors/wiring.hpp"
#include "base/clock.hpp"
#include "base/trace.hpp"
#include "dataflow/batcher.hpp"
#include "dataflow/cluster.hpp"
#include "dataflow/pipeline.hpp"
#include "dataflow/restart_policy.hpp"

#include <caf/actor.hpp>

#include <functional>
#include <string>
#include <vector>

namespace troupe::actors {

class kv_archive;
class metrics_board;
class step_pool;
struct stage_memory;

// Ends every part, then the supervisor.
struct stop_node {
  uint64_t reason = 0; // for traces only
};

// The parts that tie this node to others.
struct cluster_seat {
  schemas::node_index self = 0;
  uint64_t incarnation = 0;
  actors::gateway gateway;
  actors::coordinator coordinator;
  actors::membership membership;
};
// From whoever starts the node, once: epochs come from the cluster.
struct join_cluster {
  local_ref<cluster_seat> seat;
};

using node_supervisor =
    pipeline_watcher::extend<caf::reacts_to<stop_node>, caf::reacts_to<join_cluster>,
                             caf::reacts_to<apply_state>, caf::reacts_to<epoch_go>,
                             caf::reacts_to<node_outdated>>;

// What the parts of a node work with. Owned by whoever starts the node; outlives all of its actors.
struct node_resources {
  std::shared_ptr<const model_bundle> bundle; // shared with the engine's readers
  compute::executor* executor = nullptr;
  const clock* time = nullptr;
  troupe::trace* trace = nullptr;
  metrics_board* board = nullptr;
  step_pool* steps = nullptr;
  // The memory of a stage, made when the node first plays that role.
  std::function<result<stage_memory*>(uint32_t stage)> memory_of;
  dataflow::pipeline_graph graph;
  dataflow::batcher_limits limits;
  uint32_t positions_max = 0;
  uint32_t page_count = 0;
  uint32_t page_tokens = 0;
  bool prefix_cache = true;
  uint32_t draft_tokens_max = 0;
  dataflow::eviction_policy eviction = dataflow::eviction_policy::cost;
  kv_archive* archive = nullptr; // null: pages are not kept on a disk
  std::vector<int32_t> eos_ids;
  dataflow::restart_limits restarts;
  duration step_max{};       // a step, or the work before an epoch, that takes longer is stuck
  duration reroute_after{};  // see gating_router_options
  uint32_t shard_copies = 0; // see gating_router_options
};

struct node_supervisor_options {
  const node_resources* resources = nullptr;
  bool clustered = false; // epochs come from the cluster; join_cluster follows
  // Hears of every epoch that can serve, with its routes. On an actor's thread; must not block.
  std::function<void(const local_ref<route_table>&)> ready;
  // Hears of every part that is started, also again. On an actor's thread; must not block.
  std::function<void(const dataflow::role&, const caf::actor&)> started;
  // Hears of every state the node begins to work by. On an actor's thread; must not block.
  std::function<void(const schemas::cluster_state&)> learned;
  // Hears that the node cannot go on. On an actor's thread; must not block.
  std::function<void(const std::string& why)> gave_up;
};

node_supervisor spawn_node_supervisor(caf::actor_system& system,
                                      const node_supervisor_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, stop_node& x) {
  return f(caf::meta::type_name("stop_node"), x.reason);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, join_cluster& x) {
  return f(caf::meta::type_name("join_cluster"), x.seat);
}

} // namespace troupe::actors
