// The simulated cluster itself: forming, losing and getting back nodes, and what is left of them.
#include "simulations/cluster/simulated_cluster.hpp"

#include "base/log.hpp"
#include "compute/cpu_executor.hpp"
#include "simulations/seams/tiny_model.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Counts what it hears.
class listener final : public cluster_observer {
public:
  void on_probe(uint32_t, std::string_view probe, uint64_t) override {
    ++probes[std::string(probe)];
  }
  void on_learned(uint32_t node, const dataflow::cluster_state& state) override {
    learned[node] = state.epoch;
  }
  void on_process(uint32_t, std::string_view what) override { ++processes[std::string(what)]; }
  void on_client_event(const client&, const dataflow::stream_event&) override {}

  std::map<std::string, uint64_t> probes, processes;
  std::map<uint32_t, uint64_t> learned;
};

class simulated_cluster_test : public testing::Test {
protected:
  void SetUp() override {
    log::set_level(log::level::off);
    kernels = compute::make_cpu_executor({.threads = 1}).value();
    model = make_tiny_model(*kernels, {}).value();
  }
  void TearDown() override { log::set_level(log::level::warn); }

  void build(uint32_t nodes = 4, uint32_t voters = 3) {
    world_options virtual_world;
    virtual_world.seed = 1;
    virtual_world.machines = nodes;
    w = std::make_unique<world>(virtual_world);
    simulated_cluster_options options;
    options.cluster.nodes = nodes;
    options.cluster.voters = voters;
    options.node.positions_max = 128;
    options.node.page_tokens = 8;
    options.node.step_tokens_max = 64;
    options.node.prefill_chunk_max = 16;
    cluster = std::make_unique<simulated_cluster>(*w, model, *kernels, options, heard);
    const auto s = cluster->form();
    ASSERT_TRUE(s.ok()) << s.why();
  }

  bool run(duration most, const std::function<bool()>& done) {
    bool met = false;
    w->run(w->now() + most, 5'000'000, [&] { return met = done(); });
    return met;
  }
  void let_pass(duration time) {
    run(time, [] { return false; });
  }

  // Every node that is up knows the newest state and has started in it.
  bool settled() {
    for (uint32_t node = 0; node < cluster->nodes(); ++node)
      if (cluster->up(node) && heard.learned[node] != cluster->newest().epoch) return false;
    return cluster->newest().epoch > 0;
  }

  std::unique_ptr<compute::executor> kernels;
  std::shared_ptr<const actors::model_bundle> model;
  listener heard;
  std::unique_ptr<world> w;
  std::unique_ptr<simulated_cluster> cluster;
};

TEST_F(simulated_cluster_test, forms_with_every_role_on_a_node_that_serves) {
  build();
  ASSERT_TRUE(run(seconds(5), [this] { return heard.probes["epoch.go"] >= 4; }));
  const auto& state = cluster->newest();
  EXPECT_EQ(state.epoch, 1u);
  EXPECT_EQ(state.members.size(), 4u);
  EXPECT_EQ(state.where.stages.size(), 2u);
  EXPECT_EQ(state.where.shards.size(), 4u);
  for (const auto& copies : state.where.shards) EXPECT_EQ(copies.size(), 2u);
  EXPECT_EQ(cluster->hosts({dataflow::role_kind::sequencer, 0}).size(), 1u);
}

TEST_F(simulated_cluster_test, one_node_alone_forms_a_cluster) {
  build(1, 1);
  EXPECT_TRUE(run(seconds(5), [this] { return heard.probes["epoch.go"] >= 1; }));
}

TEST_F(simulated_cluster_test, a_node_that_ends_is_put_out_and_comes_back) {
  build();
  ASSERT_TRUE(run(seconds(5), [this] { return heard.probes["epoch.go"] >= 4; }));
  cluster->crash(3, crash_fate::keep_all);
  ASSERT_TRUE(run(seconds(10), [this] { return !cluster->newest().members[3].present; }));
  cluster->start(3);
  ASSERT_TRUE(run(seconds(20), [this] { return cluster->newest().members[3].present; }));
  EXPECT_EQ(cluster->newest().members[3].incarnation, 2u);
  EXPECT_TRUE(run(seconds(5), [this] { return settled(); }));
}

TEST_F(simulated_cluster_test, without_a_majority_of_voters_nothing_is_agreed) {
  build();
  ASSERT_TRUE(run(seconds(5), [this] { return heard.probes["epoch.go"] >= 4; }));
  cluster->crash(1, crash_fate::keep_all);
  cluster->crash(2, crash_fate::keep_all);
  const uint64_t before = cluster->newest().epoch;
  let_pass(seconds(10));
  EXPECT_EQ(cluster->newest().epoch, before);
  cluster->start(1);
  EXPECT_TRUE(run(seconds(20), [&] { return cluster->newest().epoch > before; }));
}

TEST_F(simulated_cluster_test, a_voter_with_a_new_disk_learns_from_the_others) {
  build();
  ASSERT_TRUE(run(seconds(5), [this] { return heard.probes["epoch.go"] >= 4; }));
  cluster->crash(0, crash_fate::keep_all);
  cluster->wipe_disk(0);
  cluster->start(0);
  EXPECT_TRUE(run(seconds(10), [this] { return heard.probes["register.recovered"] == 1; }));
  EXPECT_TRUE(run(seconds(20), [this] {
    return cluster->newest().members[0].present && cluster->newest().members[0].incarnation == 2;
  }));
}

TEST_F(simulated_cluster_test, a_thousand_starts_and_ends_leave_nothing_behind) {
  build(3, 3);
  ASSERT_TRUE(run(seconds(5), [this] { return heard.probes["epoch.go"] >= 3; }));
  for (int i = 0; i < 1000; ++i) {
    cluster->crash(2, crash_fate::drop_unsynced);
    cluster->start(2);
    let_pass(milliseconds(1));
  }
  EXPECT_EQ(heard.processes["crash"], 1000u);
  ASSERT_TRUE(run(seconds(90), [this] {
    return cluster->newest().members[2].present &&
           cluster->newest().members[2].incarnation == 1001 && settled();
  }));
  let_pass(seconds(2));
  for (uint32_t node = 0; node < 3; ++node)
    for (const auto& [name, messages] : w->at(node).mailboxes()) EXPECT_LT(messages, 8u) << name;
}

TEST_F(simulated_cluster_test, a_node_asked_to_leave_hands_its_roles_over_first) {
  build();
  ASSERT_TRUE(run(seconds(5), [this] { return heard.probes["epoch.go"] >= 4; }));
  const auto host = cluster->hosts({dataflow::role_kind::sequencer, 0}).front();
  cluster->drain(host);
  ASSERT_TRUE(run(seconds(10), [&] { return !cluster->up(host); }));
  const auto hosts = cluster->hosts({dataflow::role_kind::sequencer, 0});
  ASSERT_EQ(hosts.size(), 1u);
  EXPECT_NE(hosts.front(), host);
}

} // namespace
} // namespace troupe::simulations
