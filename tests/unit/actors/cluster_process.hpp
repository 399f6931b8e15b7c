// A node of a cluster as its own process would run it, several of them in one test: real threads,
// real disks, real time, and a network that a thread of the test keeps going.
#pragma once

#include "actors/cluster_node.hpp"
#include "compute/cpu_executor.hpp"
#include "storage/posix_disk.hpp"
#include "storage/posix_io_worker.hpp"
#include "storage/state_store.hpp"
#include "storage/vote_store.hpp"
#include "tests/support/built_in_model.hpp"
#include "transport/loopback/loopback_network.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace troupe::tests {

// The loopback network, usable from any thread.
class pumped_network {
public:
  pumped_network() : pump_([this] { run(); }) {}
  ~pumped_network() {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    something_waits_.notify_all();
    pump_.join();
  }

  std::unique_ptr<transport::endpoint> open(const transport::node_identity& self,
                                            transport::endpoint_listener& listener) {
    const std::lock_guard lock(mutex_);
    auto made = network_.open(self, listener);
    EXPECT_TRUE(made.has_value()) << made.error().why();
    something_waits_.notify_all();
    return std::make_unique<locked_endpoint>(*this, std::move(*made));
  }

  // Nothing is handed out until it is released; everything waits.
  void hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    something_waits_.notify_all();
  }
  // Frames to and from this node vanish until it is joined again.
  void cut(const std::string& name) {
    const std::lock_guard lock(mutex_);
    cut_.insert(name);
  }
  void join(const std::string& name) {
    const std::lock_guard lock(mutex_);
    cut_.erase(name);
  }

private:
  class locked_endpoint final : public transport::endpoint {
  public:
    locked_endpoint(pumped_network& owner, std::unique_ptr<transport::endpoint> inner)
        : owner_(owner), inner_(std::move(inner)) {}
    ~locked_endpoint() override {
      const std::lock_guard lock(owner_.mutex_);
      inner_.reset();
    }
    const transport::node_identity& self() const override { return inner_->self(); }
    status send(const std::string& peer, std::span<const std::byte> header,
                std::span<const std::byte> payload) override {
      const std::lock_guard lock(owner_.mutex_);
      if (owner_.cut_.count(peer) > 0 || owner_.cut_.count(inner_->self().name) > 0) return {};
      owner_.something_waits_.notify_all();
      return inner_->send(peer, header, payload);
    }
    size_t credit(const std::string& peer) const override {
      const std::lock_guard lock(owner_.mutex_);
      return inner_->credit(peer);
    }
    std::vector<transport::node_identity> peers() const override {
      const std::lock_guard lock(owner_.mutex_);
      return inner_->peers();
    }
    transport::endpoint_counters counters() const override {
      const std::lock_guard lock(owner_.mutex_);
      return inner_->counters();
    }

  private:
    pumped_network& owner_;
    std::unique_ptr<transport::endpoint> inner_;
  };

  void run() {
    std::unique_lock lock(mutex_);
    while (!closing_) {
      if (!held_) network_.deliver(16);
      if (held_ || network_.waiting() == 0)
        something_waits_.wait(lock,
                              [this] { return closing_ || (!held_ && network_.waiting() > 0); });
      lock.unlock(); // let senders in
      lock.lock();
    }
  }

  std::mutex mutex_; // of everything
  std::condition_variable something_waits_;
  transport::loopback_network network_;
  std::set<std::string> cut_;
  bool held_ = false;
  bool closing_ = false;
  std::thread pump_; // last: it uses all of the above
};

// What the nodes of a test have in common.
struct cluster_plan {
  dataflow::cluster_layout layout;
  dataflow::cluster_timing timing;
  std::string folder; // of the disks
  // Where the state is not agreed on among the voters: this node's way to the store.
  std::function<std::unique_ptr<storage::state_store>(uint32_t self, const clock&)> open_store;
};

class counting_trace final : public trace {
public:
  void hit(std::string_view probe, uint64_t) override {
    if (probe == "stream.resubmitted") resubmitted.fetch_add(1);
    if (probe == "stream.resumed") resumed.fetch_add(1);
  }
  std::atomic<uint64_t> resubmitted{0};
  std::atomic<uint64_t> resumed{0};
};

class cluster_process {
public:
  cluster_process(pumped_network& network, const cluster_plan& plan, uint32_t self,
                  uint64_t incarnation)
      : executor_(compute::make_cpu_executor({.threads = 1}).value()),
        files_(storage::posix_disk::open(plan.folder + "/" + plan.layout.nodes[self]).value()),
        votes_(*files_),
        worker_(std::make_unique<storage::posix_io_worker>()) {
    config_.set("scheduler.policy", caf::atom("sharing"));
    config_.set("scheduler.max-threads", size_t{2});
    config_.set("scheduler.max-throughput", size_t{10});
    system_ = std::make_unique<caf::actor_system>(config_);
    actors::cluster_node_options options;
    options.layout = plan.layout;
    options.timing = plan.timing;
    options.self = self;
    options.incarnation = incarnation;
    options.learned = [this](const schemas::cluster_state& state) { learn(state); };
    options.gave_up = [this](const std::string&) { gave_up = true; };
    options.drained = [this] { drained = true; };
    if (auto stored = votes_.load())
      options.votes = std::move(*stored);
    else
      options.remembers = incarnation == 1;
    actors::cluster_node_seams seams;
    seams.executor = executor_.get();
    seams.time = &time_;
    seams.trace = &trace;
    seams.open_endpoint = [&network, &plan, self,
                           incarnation](transport::endpoint_listener& listener) {
      return network.open({plan.layout.nodes[self], incarnation}, listener);
    };
    if (plan.open_store) store_ = plan.open_store(self, time_);
    seams.store = store_.get();
    seams.keep_votes = [this](const schemas::acceptor_state& state, auto done) {
      const auto s = worker_->submit([this, state] { return votes_.store(state); }, done);
      if (!s.ok()) done(s);
    };
    auto made = actors::cluster_node::start(*system_, built_in_model(), seams, options);
    EXPECT_TRUE(made.has_value()) << made.error().why();
    node_ = std::move(*made);
  }

  // In the order that cluster_node asks for.
  ~cluster_process() {
    node_->stop();
    system_->await_all_actors_done();
    worker_.reset();
    store_.reset();
    node_.reset();
    system_.reset();
  }

  actors::cluster_node& node() { return *node_; }

  schemas::cluster_state learned() {
    const std::lock_guard lock(mutex_);
    return state_;
  }
  // Whether a state comes that fits, in bounded time.
  template <class Condition>
  bool wait_for_state(Condition fits) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return fits(state_); });
  }

  counting_trace trace;
  std::atomic<bool> gave_up{false};
  std::atomic<bool> drained{false};

private:
  void learn(const schemas::cluster_state& state) {
    const std::lock_guard lock(mutex_);
    state_ = state;
    changed_.notify_all();
  }

  system_clock time_;
  std::unique_ptr<compute::executor> executor_;
  std::unique_ptr<storage::posix_disk> files_;
  storage::vote_store votes_;
  std::unique_ptr<storage::posix_io_worker> worker_;
  std::unique_ptr<storage::state_store> store_;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  std::unique_ptr<actors::cluster_node> node_;
  std::mutex mutex_; // of the state
  std::condition_variable changed_;
  schemas::cluster_state state_;
};

} // namespace troupe::tests
