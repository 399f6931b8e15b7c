// Protocol of the node supervisor: it starts every part of a node, wires them, restarts those that
// fail, and ends them in order.
#pragma once

#include "actors/node.hpp"
#include "actors/wiring.hpp"
#include "base/clock.hpp"
#include "dataflow/batcher.hpp"
#include "dataflow/pipeline.hpp"
#include "dataflow/restart_policy.hpp"

#include <caf/actor.hpp>

#include <functional>
#include <vector>

namespace troupe::actors {

class metrics_board;
class step_pool;
struct stage_memory;

// Ends every part, then the supervisor.
struct stop_node {
  uint64_t reason = 0; // for traces only
};

using node_supervisor = wired_sink::extend<caf::reacts_to<stop_node>>;

// What the parts of a node work with. Owned by whoever starts the node; outlives all of its actors.
struct node_resources {
  std::shared_ptr<const model_bundle> bundle; // shared with the engine's readers
  compute::executor* executor = nullptr;
  const clock* time = nullptr;
  metrics_board* board = nullptr;
  step_pool* steps = nullptr;
  std::vector<stage_memory*> memories; // per stage
  dataflow::pipeline_graph graph;
  dataflow::batcher_limits limits;
  uint32_t positions_max = 0;
  uint32_t page_count = 0;
  uint32_t page_tokens = 0;
  bool prefix_cache = true;
  std::vector<int32_t> eos_ids;
  dataflow::restart_limits restarts;
};

struct node_supervisor_options {
  const node_resources* resources = nullptr;
  // Hears of every epoch that can serve, with its routes. On an actor's thread; must not block.
  std::function<void(const local_ref<route_table>&)> ready;
  // Hears of every part that is started, also again. On an actor's thread; must not block.
  std::function<void(const dataflow::role&, const caf::actor&)> started;
};

node_supervisor spawn_node_supervisor(caf::actor_system& system,
                                      const node_supervisor_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, stop_node& x) {
  return f(caf::meta::type_name("stop_node"), x.reason);
}

} // namespace troupe::actors
