// One node of a cluster: every part of it, tied to the other nodes through an endpoint. Production
// and simulation differ in what they hand over.
#pragma once

#include "actors/door.hpp"
#include "actors/frame_sorter.hpp"
#include "actors/journal_courier.hpp"
#include "actors/model_bundle.hpp"
#include "actors/node.hpp"
#include "actors/node_state.hpp"
#include "actors/shared_slot.hpp"
#include "base/clock.hpp"
#include "base/trace.hpp"
#include "compute/executor.hpp"
#include "dataflow/cluster.hpp"
#include "dataflow/lease_rules.hpp"
#include "dataflow/node_figures.hpp"
#include "storage/state_store.hpp"
#include "transport/endpoint.hpp"

#include <caf/actor_system.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace troupe::actors {

// Everything here outlives the node.
struct cluster_node_seams {
  compute::executor* executor = nullptr;
  const clock* time = nullptr;
  troupe::trace* trace = nullptr;
  // Opens the node's endpoint; what it hears goes to the listener.
  std::function<std::unique_ptr<transport::endpoint>(transport::endpoint_listener&)> open_endpoint;
  vote_keeper keep_votes;
  // Where the cluster's state is agreed on; absent: among the voters. Equal on all nodes. With it
  // no node votes: nothing of votes, remembers and keep_votes is used, and layout.voters makes no
  // difference. It ends after the actors and before their system: answers may be on their way.
  storage::state_store* store = nullptr;
  // Keeps a request of another node, so that its client may come here; its bytes may be anything.
  // On an actor's thread; must not block. Absent: nothing is kept for others, and nothing of this
  // node is kept by them.
  std::function<status(std::span<const std::byte>)> keep_entry;
};

struct cluster_node_options {
  node_options node;
  dataflow::cluster_layout layout; // layers and experts are filled in from the model
  dataflow::cluster_timing timing;
  dataflow::lease_timing lease; // where the state is in a store
  schemas::node_index self = 0;
  uint64_t incarnation = 1;       // higher at every start
  dataflow::node_figures figures; // how fast and large this node is
  uint32_t link_frames_max = 256; // to one peer without an acknowledgement; equal on all nodes
  // A voter's memory: what it stored last; nothing of it and remembers when the cluster is new.
  schemas::acceptor_state votes;
  bool remembers = true;

  // Called on an actor's thread; must not block.
  std::function<void(const std::string& why)> gave_up; // the process should end and start again
  // The others compute something else: the process should end and not start like this again.
  std::function<void(const std::string& why)> unfit = {};
  std::function<void()> drained;                              // the process may end
  std::function<void(const schemas::cluster_state&)> learned; // a newer state
  std::function<void(const schemas::node_report&)> heard;     // of any node, this one among them
  std::function<void(const dataflow::role&, const caf::actor&)> started; // a part, also again
};

// The actors work in this object's memory, so it is destroyed only when they are gone: stop() it,
// wait until its actor system has come to rest (or end the system), then let go.
class cluster_node {
public:
  // Spawns the node's actors; they find the others by themselves. Fails when an option is out of
  // range (the message names it) or memory cannot be had.
  static result<std::unique_ptr<cluster_node>> start(caf::actor_system& system,
                                                     std::shared_ptr<const model_bundle> model,
                                                     const cluster_node_seams& seams,
                                                     const cluster_node_options& options);
  cluster_node(const cluster_node&) = delete;
  cluster_node& operator=(const cluster_node&) = delete;
  ~cluster_node();

  // Takes the request or says at once why not: invalid_argument (the message names the field),
  // exhausted (full, try later), unavailable (draining or failed). The sink is called on an actor's
  // thread, in order; must not block. Any thread.
  result<request_handle> submit(dataflow::generation_request request, engine::event_sink sink,
                                engine::received_so_far received);
  void cancel(request_handle handle);
  // Hands an encoded request to other nodes, which keep it. `done` is called once, soon, maybe at
  // once: whether at least one of them has it. Any thread.
  void replicate(std::span<const std::byte> entry, std::function<void(bool)> done);
  // Takes no new requests, hands roles over, and tells `drained` when its streams have ended.
  void drain();

  engine_metrics metrics() const { return state_->board->read(); }
  const gateway_counters& counters() const { return counters_; }
  const node_resources& resources() const { return state_->resources; }
  // With what the model adds to it.
  const dataflow::cluster_layout& layout() const { return options_.layout; }
  uint64_t streams_open() const {
    return state_->board->streams_open.load(std::memory_order_relaxed);
  }

  // Ends every actor of the node, in order; they are gone when the system has come to rest. Once
  // begun, nobody else may drain() or stop() it; submit() and cancel() are refused.
  void stop();

  // For start() alone.
  explicit cluster_node(const cluster_node_options& options);

private:
  void spawn(caf::actor_system& system, const cluster_node_seams& seams);
  // Null where nothing is kept for others.
  journal_courier spawn_courier(caf::actor_system& system, const cluster_node_seams& seams);
  coordinator spawn_coordinator_of(caf::actor_system& system, const cluster_node_seams& seams,
                                   const actors::gateway& gateway);
  void note_started(const dataflow::role& who, const caf::actor& part);

  cluster_node_options options_;
  gateway_counters counters_;
  std::unique_ptr<node_state> state_;
  std::unique_ptr<door> door_;
  std::unique_ptr<frame_sorter> sorter_;
  std::unique_ptr<transport::endpoint> endpoint_;
  node_supervisor supervisor_;
  membership membership_;
  shared_slot<ingress> ingress_; // put by the supervisor's thread
  shared_slot<journal_courier> courier_;
  std::atomic<uint64_t> next_request_{0};
  std::atomic<bool> draining_{false};
};

} // namespace troupe::actors
