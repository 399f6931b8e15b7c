// Each fault does what the catalogue says, at its time, to whom it is aimed at, and ends.
#include "simulations/faults/injector.hpp"

#include "simulations/faults/expansion.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <memory>

#include "tests/unit/simulations_faults/fake_surface.hpp"

namespace troupe::simulations {
namespace {

using dataflow::role;
using dataflow::role_kind;
using std::chrono::milliseconds;
using lines = std::vector<std::string>;
using outcome = injected_fault::outcome;

class injector_test : public ::testing::Test {
protected:
  injector_test() {
    for (uint32_t i = 0; i < 4; ++i)
      surface.placed[{role_kind::expert_shard, i}] = {i, (i + 1) % 5};
    surface.placed[{role_kind::attention_stage, 0}] = {1};
    surface.placed[{role_kind::attention_stage, 1}] = {2};
    surface.placed[{role_kind::gating_router, 0}] = {1};
    surface.placed[{role_kind::sequencer, 0}] = {0};
  }

  static fault make(const std::string& id, std::map<std::string, int64_t> settings = {},
                    duration lasts = {}) {
    fault out;
    out.id = id;
    out.when.at = milliseconds(10);
    out.node = 1;
    out.lasts = lasts;
    out.settings = std::move(settings);
    return out;
  }

  injector& with(std::vector<fault> faults) {
    injecting = std::make_unique<injector>(surface, fault_plan{std::move(faults)}, about);
    injecting->arm();
    return *injecting;
  }

  fake_surface surface{5};
  scenario about;
  std::unique_ptr<injector> injecting;
};

TEST_F(injector_test, a_crash_happens_at_its_time_and_ends_with_a_start) {
  auto& it = with({make("F03", {{"restart_after_ms", 30}})});
  surface.run(milliseconds(9));
  EXPECT_EQ(surface.done, lines{});
  EXPECT_FALSE(it.all_ended());
  surface.run(milliseconds(2));
  EXPECT_EQ(surface.done, lines({"crash 1"}));
  EXPECT_FALSE(it.all_ended());
  surface.run(milliseconds(40));
  EXPECT_EQ(surface.done, lines({"crash 1", "start 1"}));
  EXPECT_TRUE(it.all_ended());
  EXPECT_EQ(it.counts(), (std::map<std::string, uint64_t>{{"F03", 1}}));
  EXPECT_EQ(it.last_change(), time_point(milliseconds(40)) + duration(1))
      << "virtual time begins at 1 ns";
}

TEST_F(injector_test, crashing_what_is_down_is_not_counted) {
  auto& it =
      with({make("F03", {{"restart_after_ms", 50}}), make("F03", {{"restart_after_ms", 1}})});
  surface.run(milliseconds(100));
  EXPECT_EQ(surface.done, lines({"crash 1", "start 1"}));
  EXPECT_EQ(it.counts().at("F03"), 1u);
  ASSERT_EQ(it.history().size(), 2u);
  EXPECT_EQ(it.history()[1].what, outcome::no_effect);
  EXPECT_TRUE(it.all_ended());
}

TEST_F(injector_test, the_last_majority_of_voters_is_spared) {
  auto first = make("F03", {{"restart_after_ms", 0}});
  auto second = first;
  second.node = 2;
  auto& it = with({first, second});
  surface.run(milliseconds(100));
  EXPECT_EQ(surface.done, lines({"crash 1"}));
  EXPECT_EQ(it.spared(), (std::map<std::string, uint64_t>{{"F03", 1}}));
  it.heal_all();
  EXPECT_EQ(surface.done.back(), "start 1");
}

TEST_F(injector_test, what_need_not_survive_is_not_spared_and_stays_down) {
  about.expect.survivable = false;
  auto first = make("F03", {{"restart_after_ms", 0}});
  auto second = first;
  second.node = 2;
  auto& it = with({first, second});
  surface.run(milliseconds(100));
  EXPECT_EQ(surface.done, lines({"crash 1", "crash 2"}));
  it.heal_all();
  EXPECT_FALSE(surface.up(1));
  EXPECT_FALSE(surface.up(2));
}

TEST_F(injector_test, a_fault_waits_for_the_nth_hit_of_a_probe) {
  auto at_probe = make("F03", {{"restart_after_ms", 5}});
  at_probe.when = {.at = {}, .probe = "epoch.go", .nth = 2};
  auto& it = with({at_probe});
  it.on_probe("epoch.go", 1);
  it.on_probe("epoch.agreed", 1);
  surface.run(milliseconds(1));
  EXPECT_EQ(surface.done, lines{});
  EXPECT_TRUE(it.all_ended()) << "a probe that is never hit keeps nobody waiting";
  it.on_probe("epoch.go", 2);
  EXPECT_EQ(surface.done, lines{}) << "not within whoever hit it";
  surface.run(milliseconds(1));
  EXPECT_EQ(surface.done, lines({"crash 1"}));
  it.on_probe("epoch.go", 3);
  surface.run(milliseconds(50));
  EXPECT_EQ(surface.done, lines({"crash 1", "start 1"}));
}

TEST_F(injector_test, roles_are_looked_up_when_it_happens) {
  auto at_leader = make("F03", {{"restart_after_ms", 5}});
  at_leader.target = "leader";
  auto at_shard = at_leader;
  at_shard.target = "shard";
  at_shard.node = 4 + 3; // shard 3, its second host
  auto at_idle = at_leader;
  at_idle.target = "idle";
  auto& it = with({at_leader, at_shard, at_idle});
  surface.leader_now = 2;
  surface.placed[{role_kind::expert_shard, 3}] = {1, 3};
  surface.run(milliseconds(100));
  ASSERT_EQ(it.history().size(), 3u);
  EXPECT_EQ(it.history()[0].node, 2u);
  EXPECT_EQ(it.history()[1].node, 3u);
}

TEST_F(injector_test, a_wiped_disk_is_wiped_while_down) {
  auto& it = with({make("F04", {{"restart_after_ms", 5}})});
  surface.run(milliseconds(50));
  EXPECT_EQ(surface.done, lines({"crash 1", "wipe 1", "start 1"}));
  EXPECT_EQ(it.forgetful(), std::vector<uint32_t>({1}));
}

TEST_F(injector_test, a_second_voter_keeps_its_disk) {
  auto second = make("F04", {{"restart_after_ms", 5}});
  second.node = 0;
  second.when.at = milliseconds(40);
  auto& it = with({make("F04", {{"restart_after_ms", 5}}), second});
  surface.run(milliseconds(100));
  EXPECT_EQ(it.counts().at("F04"), 1u);
  EXPECT_EQ(it.spared().at("F04"), 1u);
}

TEST_F(injector_test, power_loss_leaves_what_its_fate_says) {
  with({make("F05", {{"restart_after_ms", 5}, {"fate", 2}})});
  surface.run(milliseconds(50));
  EXPECT_EQ(surface.fates, std::vector<crash_fate>({crash_fate::tear}));
}

TEST_F(injector_test, a_storm_of_restarts_has_its_number_of_ends) {
  auto& it = with({make("F06", {{"times", 3}, {"up_ms", 2}, {"down_ms", 4}})});
  surface.run(milliseconds(200));
  EXPECT_EQ(surface.done,
            lines({"crash 1", "start 1", "crash 1", "start 1", "crash 1", "start 1"}));
  EXPECT_EQ(it.counts().at("F06"), 1u);
  EXPECT_TRUE(it.all_ended());
}

TEST_F(injector_test, a_pause_ends_and_a_crash_ends_a_pause) {
  auto crash = make("F03", {{"restart_after_ms", 5}});
  crash.when.at = milliseconds(20);
  with({make("F07", {}, milliseconds(100)), crash});
  surface.run(milliseconds(300));
  EXPECT_EQ(surface.done, lines({"pause 1", "resume 1", "crash 1", "start 1"}));
}

TEST_F(injector_test, a_slow_node_is_slow_in_messages_and_jobs) {
  with({make("F08", {{"message_cost_us", 9}, {"slow_percent", 300}}, milliseconds(100))});
  surface.run(milliseconds(50));
  EXPECT_EQ(surface.cost_of(1), std::chrono::microseconds(9));
  EXPECT_EQ(surface.device(1).slow_percent, 300u);
  surface.run(milliseconds(100));
  EXPECT_EQ(surface.cost_of(1), duration{});
  EXPECT_EQ(surface.device(1).slow_percent, 100u);
}

TEST_F(injector_test, a_drain_ends_with_a_new_process) {
  with({make("F09", {{"stop_after_ms", 20}, {"restart_after_ms", 30}})});
  surface.run(milliseconds(100));
  EXPECT_EQ(surface.done, lines({"drain 1", "crash 1", "start 1"}));
}

TEST_F(injector_test, a_rack_is_several_nodes) {
  with({make("F12", {{"nodes", 3}, {"restart_after_ms", 30}})});
  surface.run(milliseconds(15));
  EXPECT_EQ(surface.done, lines({"crash 1", "crash 2", "crash 3"}));
}

TEST_F(injector_test, parts_are_killed_where_they_are) {
  with({make("F01", {{"part", 0}, {"shuffle", 1}}), make("F02", {{"part", 0}, {"shuffle", 1}})});
  surface.run(milliseconds(15));
  EXPECT_EQ(surface.done, lines({"kill attention_stage/0 of 1", "kill sequencer/0 of 0"}));
}

TEST_F(injector_test, a_partition_cuts_between_its_sides_alone) {
  with({make("F24", {{"mask", 0b00011}}, milliseconds(50))});
  surface.run(milliseconds(20));
  EXPECT_EQ(surface.cut_links(), 12u);
  EXPECT_TRUE(surface.network().link(0, 2).cut);
  EXPECT_TRUE(surface.network().link(2, 0).cut);
  EXPECT_FALSE(surface.network().link(0, 1).cut);
  surface.run(milliseconds(100));
  EXPECT_EQ(surface.cut_links(), 0u);
}

TEST_F(injector_test, a_one_way_partition_leaves_the_other_way) {
  with({make("F25", {{"mask", 0}}, milliseconds(50))});
  surface.run(milliseconds(20));
  EXPECT_EQ(surface.cut_links(), 4u);
  EXPECT_TRUE(surface.network().link(0, 1).cut) << "node 1 hears nothing";
  EXPECT_FALSE(surface.network().link(1, 0).cut);
}

TEST_F(injector_test, a_partial_partition_is_one_pair) {
  auto pair = make("F26", {}, milliseconds(50));
  pair.peer = 3;
  with({pair});
  surface.run(milliseconds(20));
  EXPECT_EQ(surface.cut_links(), 2u);
  EXPECT_TRUE(surface.network().link(1, 3).cut && surface.network().link(3, 1).cut);
}

TEST_F(injector_test, link_faults_have_four_scopes) {
  const std::vector<size_t> links = {1, 2, 8, 20};
  for (int64_t scope = 0; scope < 4; ++scope) {
    auto lossy = make("F21", {{"scope", scope}, {"loss_ppm", 5}}, milliseconds(5));
    lossy.peer = 2;
    with({lossy});
    surface.run(milliseconds(12));
    size_t found = 0;
    for (uint32_t a = 0; a < 5; ++a)
      for (uint32_t b = 0; b < 5; ++b)
        if (a != b && surface.network().link(a, b).loss_ppm == 5) ++found;
    EXPECT_EQ(found, links[static_cast<size_t>(scope)]);
    surface.run(milliseconds(10));
  }
}

TEST_F(injector_test, a_flapping_link_comes_and_goes_and_stays_at_the_end) {
  auto flap = make("F28", {{"up_ms", 10}, {"down_ms", 10}}, milliseconds(60));
  flap.peer = 2;
  auto& it = with({flap});
  std::string pattern;
  for (int i = 0; i < 10; ++i) {
    surface.run(milliseconds(10));
    pattern += surface.network().link(1, 2).cut ? 'x' : '-';
  }
  EXPECT_NE(pattern.find("x-x"), std::string::npos) << pattern;
  EXPECT_TRUE(pattern.ends_with("---")) << pattern;
  EXPECT_TRUE(it.all_ended());
}

TEST_F(injector_test, a_swizzle_clogs_and_unclogs_every_node_it_picks) {
  auto& it = with({make("F27", {{"swizzle", 1}, {"scope", 0}, {"shuffle", 3}}, milliseconds(100))});
  size_t most = 0;
  for (int i = 0; i < 30; ++i) {
    surface.run(milliseconds(5));
    size_t held = 0;
    for (uint32_t a = 0; a < 5; ++a)
      for (uint32_t b = 0; b < 5; ++b)
        if (a != b && surface.network().link(a, b).held) ++held;
    most = std::max(most, held);
    EXPECT_TRUE(i < 29 || held == 0);
  }
  EXPECT_GT(most, 0u);
  EXPECT_TRUE(it.all_ended());
}

TEST_F(injector_test, stale_frames_are_let_go_after_the_next_start) {
  with({make("F32", {{"held_ms", 10}, {"restart_after_ms", 20}, {"release_after_ms", 10}})});
  surface.run(milliseconds(15));
  EXPECT_TRUE(surface.network().link(0, 1).held);
  EXPECT_FALSE(surface.network().link(1, 0).held);
  surface.run(milliseconds(30));
  EXPECT_EQ(surface.done, lines({"crash 1", "start 1"}));
  EXPECT_TRUE(surface.network().link(0, 1).held);
  surface.run(milliseconds(20));
  EXPECT_FALSE(surface.network().link(0, 1).held);
}

TEST_F(injector_test, a_lost_device_is_repaired_by_a_restart) {
  auto& it = with({make("F40", {{"restart_after_ms", 10}}, milliseconds(30))});
  surface.run(milliseconds(20));
  EXPECT_TRUE(surface.device(1).lost);
  surface.run(milliseconds(60));
  EXPECT_FALSE(surface.device(1).lost);
  EXPECT_EQ(surface.done, lines({"crash 1", "start 1"}));
  EXPECT_TRUE(it.all_ended());
}

TEST_F(injector_test, a_heal_repairs_lost_devices_at_once) {
  auto& it = with({make("F40", {{"restart_after_ms", 10}}, milliseconds(1000))});
  surface.run(milliseconds(20));
  it.heal_all();
  EXPECT_FALSE(surface.device(1).lost);
  EXPECT_EQ(surface.done, lines({"crash 1", "start 1"}));
  EXPECT_TRUE(it.all_ended());
}

TEST_F(injector_test, throttling_grows_in_steps) {
  with({make("F45", {{"slow_percent", 500}, {"steps", 4}}, milliseconds(80))});
  surface.run(milliseconds(12));
  EXPECT_EQ(surface.device(1).slow_percent, 200u);
  surface.run(milliseconds(40));
  EXPECT_EQ(surface.device(1).slow_percent, 500u);
  surface.run(milliseconds(60));
  EXPECT_EQ(surface.device(1).slow_percent, 100u);
}

TEST_F(injector_test, clocks_drift_shake_and_leap) {
  with({make("F60", {{"drift_ppm", -70}}, milliseconds(50)), make("F61", {{"ahead_ms", 5}}),
        make("F64", {{"back_s", 100}}, milliseconds(50))});
  surface.run(milliseconds(20));
  EXPECT_EQ(surface.clock_of(1).drift_ppm, -70);
  EXPECT_EQ(surface.clock_of(1).wall_offset_s, -100);
  EXPECT_EQ(surface.done, lines({"jump 1"}));
  surface.run(milliseconds(100));
  EXPECT_EQ(surface.clock_of(1).drift_ppm, 0);
}

TEST_F(injector_test, a_noisy_clock_is_true_again_at_the_end) {
  auto& it = with(
      {make("F63", {{"drift_ppm", 1000}, {"every_ms", 10}, {"shuffle", 5}}, milliseconds(60))});
  std::set<int64_t> drifts;
  for (int i = 0; i < 7; ++i) {
    surface.run(milliseconds(10));
    drifts.insert(surface.clock_of(1).drift_ppm);
  }
  EXPECT_GE(drifts.size(), 4u);
  surface.run(milliseconds(30));
  EXPECT_EQ(surface.clock_of(1).drift_ppm, 0);
  EXPECT_TRUE(it.all_ended());
}

TEST_F(injector_test, a_cascade_goes_on_at_each_step_of_the_repair) {
  auto& it = with({make("F81", {{"depth", 2}, {"shuffle", 5}, {"restart_after_ms", 500}})});
  surface.run(milliseconds(20));
  EXPECT_EQ(surface.done, lines({"crash 1"}));
  for (int i = 0; i < 4; ++i) it.on_probe("epoch.agreed", 2);
  surface.run(milliseconds(20));
  EXPECT_EQ(surface.done.size(), 3u) << "two deep, however often the probe is hit";
  EXPECT_EQ(it.counts().at("F81"), 1u);
}

TEST_F(injector_test, whoever_takes_over_is_lost_too) {
  auto& it = with({make("F82", {{"restart_after_ms", 500}})});
  surface.run(milliseconds(20));
  EXPECT_EQ(surface.done, lines({"crash 1"}));
  surface.placed[{role_kind::expert_shard, 1}] = {2, 3};
  it.on_probe("epoch.go", 2);
  surface.run(milliseconds(20));
  EXPECT_EQ(surface.done, lines({"crash 1", "crash 2"}));
}

TEST_F(injector_test, all_copies_of_a_shard_end_at_once) {
  with({make("F83", {{"shuffle", 5}, {"restart_after_ms", 30}})});
  surface.run(milliseconds(15));
  EXPECT_EQ(surface.done.size(), 2u);
}

TEST_F(injector_test, clients_and_load) {
  with({make("F75", {{"clients", 2}, {"stall", 0}, {"shuffle", 5}}),
        make("F79", {{"requests", 7}})});
  surface.run(milliseconds(15));
  ASSERT_EQ(surface.done.size(), 3u);
  EXPECT_TRUE(surface.done[0].starts_with("disconnect "));
  EXPECT_EQ(surface.done[2], "load 7");
}

TEST_F(injector_test, stop_injects_nothing_new_and_lets_the_rest_end) {
  auto late = make("F03", {{"restart_after_ms", 5}});
  late.when.at = milliseconds(50);
  auto& it = with({make("F24", {{"mask", 1}}, milliseconds(30)), late});
  surface.run(milliseconds(20));
  it.stop();
  EXPECT_FALSE(it.all_ended());
  surface.run(milliseconds(100));
  EXPECT_TRUE(it.all_ended());
  EXPECT_EQ(surface.cut_links(), 0u);
  EXPECT_EQ(surface.done, lines{});
}

TEST_F(injector_test, a_core_is_made_whole_and_the_rest_is_lost_for_ever) {
  auto for_good = make("F24", {{"mask", 0b00001}}, milliseconds(10'000));
  auto& it = with({for_good, make("F03", {{"restart_after_ms", 5'000}})});
  surface.run(milliseconds(20));
  it.heal({true, true, true, false, false});
  EXPECT_TRUE(it.all_ended());
  EXPECT_TRUE(surface.up(1));
  for (uint32_t a = 0; a < 3; ++a)
    for (uint32_t b = 0; b < 3; ++b) EXPECT_TRUE(a == b || !surface.network().link(a, b).cut);
  for (uint32_t core = 0; core < 3; ++core)
    for (uint32_t rest = 3; rest < 5; ++rest) EXPECT_TRUE(surface.network().link(core, rest).cut);
  surface.run(std::chrono::seconds(20));
  EXPECT_TRUE(surface.network().link(0, 3).cut);
}

// Whatever a seed brings: everything ends, everybody is up again, nothing stays bent.
TEST_F(injector_test, every_plan_comes_to_its_end_and_leaves_no_trace) {
  for (const auto& each : built_in_scenarios()) {
    scenario what = *parse_scenario(each.text, each.name);
    if (!what.expect.survivable) continue;
    for (uint64_t seed = 1; seed <= 25; ++seed) {
      fake_surface cluster(what.cluster.nodes, what.cluster.voters);
      for (uint32_t i = 0; i < what.cluster.shards; ++i)
        cluster.placed[{role_kind::expert_shard, i}] = {i % what.cluster.nodes};
      injector it(cluster, expand(what, seed), what);
      it.arm();
      for (int i = 0; i < 60; ++i) {
        cluster.run(milliseconds(100));
        for (const auto* probe : {"epoch.agreed", "epoch.go", "step.done", "shard.dispatched"})
          it.on_probe(probe, 1);
      }
      it.stop();
      cluster.run(std::chrono::seconds(120));
      ASSERT_TRUE(it.all_ended()) << each.name << " " << seed;
      EXPECT_EQ(cluster.cut_links(), 0u) << each.name << " " << seed;
      for (uint32_t node = 0; node < what.cluster.nodes; ++node) {
        EXPECT_TRUE(cluster.up(node)) << each.name << " " << seed << " node " << node;
        EXPECT_FALSE(cluster.paused(node)) << each.name << " " << seed << " node " << node;
        EXPECT_FALSE(cluster.device(node).lost || cluster.device(node).hung);
        EXPECT_EQ(cluster.clock_of(node).drift_ppm, 0) << each.name << " " << seed;
      }
    }
  }
}

TEST(draw_core, is_a_majority_of_voters_that_remember_and_a_door) {
  scenario what;
  what.cluster = {.nodes = 9, .voters = 5, .doors = 2};
  std::set<std::vector<bool>> cores;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto core = draw_core(what, seed, {1, 3});
    EXPECT_EQ(core, draw_core(what, seed, {1, 3}));
    EXPECT_TRUE(core[0] && core[2] && core[4]) << "the three that remember";
    EXPECT_TRUE(core[0] || core[1]);
    cores.insert(core);
  }
  EXPECT_GT(cores.size(), 20u);
}

} // namespace
} // namespace troupe::simulations
