// A node of a cluster as an engine: the front door that the HTTP server knows, with everything of
// the cluster behind it.
#pragma once

#include "actors/cluster_picture.hpp"
#include "actors/engine_readings.hpp"
#include "actors/model_bundle.hpp"
#include "actors/node.hpp"
#include "base/clock.hpp"
#include "base/trace.hpp"
#include "compute/executor.hpp"
#include "dataflow/cluster.hpp"
#include "dataflow/node_figures.hpp"
#include "storage/io_worker.hpp"
#include "storage/state_store.hpp"
#include "storage/vote_store.hpp"
#include "transport/endpoint.hpp"

#include <functional>
#include <memory>
#include <span>

namespace troupe::actors {

struct cluster_engine_seams {
  compute::executor* executor = nullptr; // this and what follows outlives the engine
  const clock* time = nullptr;
  troupe::trace* trace = nullptr;       // may be null: nobody watches
  storage::vote_store* votes = nullptr; // used on the worker's thread alone once the engine runs
  // Where votes are stored. Ends with the engine, after the last vote.
  std::unique_ptr<storage::io_worker> worker;
  // Where the agreed state is kept instead of by votes; may be null. Ends like the worker.
  std::unique_ptr<storage::state_store> store;
  std::function<result<std::unique_ptr<transport::endpoint>>(transport::endpoint_listener&)>
      open_endpoint;
  // See cluster_node_seams; may be empty.
  std::function<status(std::span<const std::byte>)> keep_entry;
};

struct cluster_engine_options {
  node_options node; // stages and shards are the layout's
  dataflow::cluster_layout layout;
  dataflow::cluster_timing timing;
  schemas::node_index self = 0;
  uint64_t incarnation = 1;
  dataflow::node_figures figures; // how fast and large this node is
  schemas::acceptor_state votes;
  bool remembers = true;
  // Something that cluster() tells has changed: an epoch, a node that gave up, a drain that is
  // over. On an actor's thread; must not block.
  std::function<void()> changed;
};

// Destroying it ends the node at once; drain first to be kind.
class cluster_engine : public engine_readings {
public:
  // Fails when an option is out of range, memory cannot be had, or the endpoint cannot be opened.
  // Returns before the node has found the others: see serving().
  static result<std::unique_ptr<cluster_engine>> start(std::shared_ptr<const model_bundle> model,
                                                       cluster_engine_seams seams,
                                                       cluster_engine_options options);

  virtual cluster_picture cluster() const = 0; // any thread

  // Hands an encoded request to other nodes, which keep it. `done` is called once, within a bounded
  // time, maybe at once: whether at least one of them has it. Any thread.
  virtual void replicate(std::span<const std::byte> entry, std::function<void(bool)> done) = 0;
};

} // namespace troupe::actors
