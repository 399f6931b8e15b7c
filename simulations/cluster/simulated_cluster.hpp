// A whole cluster in one thread: the production actors of every node on simulated machines, with
// simulated networks, disks and devices behind their seams, and clients at their doors.
#pragma once

#include "actors/cluster_node.hpp"
#include "actors/model_bundle.hpp"
#include "base/trace.hpp"
#include "compute/executor.hpp"
#include "dataflow/cluster.hpp"
#include "simulations/cluster/fault_surface.hpp"
#include "simulations/faults/scenario.hpp"
#include "simulations/kernel/world.hpp"
#include "simulations/seams/simulated_disk.hpp"
#include "simulations/seams/simulated_executor.hpp"
#include "simulations/seams/simulated_network.hpp"
#include "simulations/workload/client.hpp"
#include "simulations/workload/world_timers.hpp"
#include "storage/vote_store.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations {

// Who watches a run.
class cluster_observer {
public:
  virtual ~cluster_observer() = default;
  virtual void on_probe(uint32_t node, std::string_view probe, uint64_t value) = 0;
  virtual void on_learned(uint32_t node, const dataflow::cluster_state& state) = 0;
  // "start", "crash", "pause", "resume", "end": the process of a node.
  virtual void on_process(uint32_t node, std::string_view what) = 0;
  virtual void on_client_event(const client& who, const dataflow::stream_event& event) = 0;
};

struct simulated_cluster_options {
  scenario_cluster cluster;
  scenario_workload workload;
  dataflow::cluster_timing timing;
  actors::node_options node;
  uint64_t seed = 0;
  duration restart_after = std::chrono::milliseconds(500); // of a process that has given up
  duration client_delay = std::chrono::microseconds(100);  // between a door and its clients
};

class simulated_cluster final : public fault_surface, public door_surface {
public:
  // World, executor and observer outlive it; the world has a machine per node.
  simulated_cluster(world& w, std::shared_ptr<const actors::model_bundle> model,
                    compute::executor& kernels, const simulated_cluster_options& options,
                    cluster_observer& observer);
  ~simulated_cluster() override;

  // Starts every node for the first time.
  status form();
  // Every node that is up works by the newest epoch, and its start has been told.
  bool stands() const;

  // The clients of the workload arrive, counted from now.
  void begin_workload();
  bool all_clients_done() const;
  const std::vector<std::unique_ptr<client>>& clients() const { return clients_; }

  const dataflow::cluster_layout& layout() const { return layout_; }
  const actors::cluster_node* node(uint32_t index) const; // nullptr while down
  uint64_t incarnation_of(uint32_t index) const;
  bool paused(uint32_t index) const;
  const dataflow::cluster_state& newest() const { return newest_; }
  // Tokens drawn by all sequencers, those of nodes that are gone among them.
  uint64_t tokens_drawn() const;

  // fault_surface
  world& base() override { return world_; }
  uint32_t nodes() const override { return static_cast<uint32_t>(hosts_.size()); }
  bool up(uint32_t node) const override;
  void crash(uint32_t node, crash_fate fate) override;
  void wipe_disk(uint32_t node) override;
  void start(uint32_t node) override;
  void pause(uint32_t node) override;
  void resume(uint32_t node) override;
  void set_message_cost(uint32_t node, duration cost) override;
  void drain(uint32_t node) override;
  bool kill_part(uint32_t node, const dataflow::role& who) override;
  simulated_network& network() override { return network_; }
  device_quality& device(uint32_t node) override;
  simulated_disk& disk(uint32_t node) override;
  void set_clock(uint32_t node, const clock_fault& fault) override;
  void jump_clock(uint32_t node, duration ahead) override;
  std::optional<uint32_t> leader() const override;
  std::vector<uint32_t> hosts(const dataflow::role& who) const override;
  uint32_t voters() const override { return layout_.voters; }
  void disconnect_client(uint32_t client) override;
  void stall_client(uint32_t client, duration how_long) override;
  void add_load(uint32_t requests) override;

  // door_surface
  uint32_t doors() const override;
  uint64_t incarnation(uint32_t door) const override { return incarnation_of(door); }
  status submit(const door_call& call, std::shared_ptr<const dataflow::generation_request> request,
                const std::vector<choice_received>& received) override;
  void cancel(const door_call& call) override;
  void hang_up(const door_call& call) override;

private:
  class host_trace;
  struct host;

  status boot(host& h);
  void end(host& h, crash_fate fate, std::string_view why);
  void end_soon(uint32_t node, std::string_view why, bool comes_back);
  status load_votes(host& h, actors::cluster_node_options& options);
  void add_clients(std::vector<client_request> requests, duration offset);
  void deliver(const door_call& call, const event_origin& origin, dataflow::stream_event event);
  void cut_clients_of(uint32_t node);

  world& world_;
  std::shared_ptr<const actors::model_bundle> model_; // shared with every node
  compute::executor& kernels_;
  simulated_cluster_options options_;
  cluster_observer& observer_;
  dataflow::cluster_layout layout_;
  simulated_network network_;
  world_timers timers_;
  std::vector<std::unique_ptr<host>> hosts_;
  std::vector<std::unique_ptr<client>> clients_;
  uint32_t bursts_ = 0;
  dataflow::cluster_state newest_;
  std::optional<uint32_t> leader_;
  uint64_t tokens_of_the_gone_ = 0;
};

} // namespace troupe::simulations
