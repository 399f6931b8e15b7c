// The supervisor of a node in a cluster that the test plays: real parts, recorders around them.
#include "actors/node_supervisor.hpp"

#include "actors/routes.hpp"
#include "dataflow/placement.hpp"
#include "tests/unit/actors/actor_test.hpp"
#include "tests/unit/actors/small_node.hpp"

#include <set>

namespace troupe::actors {
namespace {

using dataflow::role;
using dataflow::role_kind;

// This is node 0 of two.
class node_supervisor_test : public tests::actor_test {
protected:
  node_supervisor_test() {
    layout.nodes = {"a", "b"};
    layout.stages = 2;
    layout.shards = 2;
    tests::prepare_small_node(state, device, time, trace, layout);
    state.resources.step_max = std::chrono::seconds(2);
    options.resources = &state.resources;
    options.clustered = true;
    options.ready = [this](const auto& routes) { served.push_back(routes); };
    options.started = [this](const role& who, const caf::actor& part) {
      parts[who] = part;
      ++starts[who];
      own(part);
      watch(part);
    };
    options.learned = [this](const schemas::cluster_state& s) { learned.push_back(s.epoch); };
    options.gave_up = [this](const std::string& why) { given_up = why; };
    it = own(spawn_node_supervisor(system_, options));
    settle();
  }
  ~node_supervisor_test() override {
    caf::anon_send(it, stop_node{});
    settle();
    parts.clear();
  }

  void join() {
    tell(it, join_cluster{make_local(cluster_seat{0, 10, to_gateway.as<gateway>(),
                                                  to_coordinator.as<coordinator>(),
                                                  to_membership.as<membership>()})});
  }
  static schemas::cluster_state state_of(uint64_t epoch) {
    schemas::cluster_state out;
    out.epoch = epoch;
    out.kv_version = 1;
    out.members = {{.incarnation = 10, .present = true, .serving = true},
                   {.incarnation = 20, .present = true, .serving = true}};
    out.where.sequencer = 0;
    out.where.stages = {0, 1};
    out.where.shards = {{0}, {1, 0}};
    return out;
  }
  void learns(const schemas::cluster_state& state) { tell(it, apply_state{make_local(state)}); }
  void gateway_wired(uint64_t epoch) { tell(it, wired{epoch, 0}); }
  // As in a cluster without trouble.
  void lives_through(uint64_t epoch) {
    learns(state_of(epoch));
    gateway_wired(epoch);
    tell(it, epoch_go{epoch});
  }
  node_condition condition() const { return to_membership.last<node_condition>(); }
  std::set<role> up() const {
    std::set<role> out;
    for (const auto& [who, part] : parts)
      if (alive(part)) out.insert(who);
    out.erase({role_kind::membership, 0});
    out.erase({role_kind::coordinator, 0});
    return out;
  }
  void kill(const role& who) {
    caf::anon_send_exit(parts.at(who), caf::exit_reason::kill);
    settle();
  }

  dataflow::cluster_layout layout;
  tests::steered_executor device;
  node_state state;
  node_supervisor_options options;
  tests::recorder to_gateway = record(), to_coordinator = record(), to_membership = record();
  std::map<role, caf::actor> parts; // as started last
  std::map<role, int> starts;
  std::vector<local_ref<route_table>> served;
  std::vector<uint64_t> learned;
  std::string given_up;
  node_supervisor it;
};

constexpr role door{role_kind::ingress, 0};
constexpr role sequencer_role{role_kind::sequencer, 0};
constexpr role pages_role{role_kind::kv_cache_manager, 0};
constexpr role stage(uint32_t i) {
  return {role_kind::attention_stage, i};
}
constexpr role router(uint32_t i) {
  return {role_kind::gating_router, i};
}
constexpr role shard(uint32_t i) {
  return {role_kind::expert_shard, i};
}

TEST_F(node_supervisor_test, the_door_is_there_before_the_cluster_is) {
  EXPECT_EQ(up(), std::set<role>{door});
  learns(state_of(1)); // not joined yet
  EXPECT_EQ(up(), std::set<role>{door});
  join();
  EXPECT_EQ(learned, std::vector<uint64_t>{1});
  EXPECT_GT(up().size(), 1u);
}

TEST_F(node_supervisor_test, parts_follow_the_states) {
  join();
  lives_through(1);
  EXPECT_EQ(up(), (std::set<role>{door, sequencer_role, pages_role, stage(0), router(0), shard(0),
                                  shard(1)}));
  auto next = state_of(2);
  next.where.stages = {1, 0};
  next.where.shards = {{1}, {0}};
  learns(next);
  EXPECT_EQ(up(),
            (std::set<role>{door, sequencer_role, pages_role, stage(1), router(1), shard(1)}));
  EXPECT_EQ(starts[shard(1)], 1); // it stayed
  EXPECT_EQ(starts[sequencer_role], 1);
  auto out = state_of(3);
  out.members[0].present = false;
  out.where = {1, {1, 1}, {{1}, {1}}};
  learns(out);
  EXPECT_EQ(up(), std::set<role>{door});
}

TEST_F(node_supervisor_test, the_gateway_is_wired_first_and_opened_last) {
  join();
  learns(state_of(1));
  EXPECT_EQ(to_gateway.last<wire>().epoch, 1u);
  EXPECT_EQ(device.jobs, 0u); // no part is wired, so nobody has passed the fence
  gateway_wired(2);           // of another epoch
  EXPECT_EQ(device.jobs, 0u);
  device.hangs = true;
  gateway_wired(1);
  EXPECT_EQ(device.jobs, 1u);
  EXPECT_TRUE(to_gateway.heard<open_gate>().empty());
  EXPECT_TRUE(to_membership.heard<node_condition>().empty());
  device.wake(); // what was computing is done
  settle();
  EXPECT_EQ(to_gateway.last<open_gate>().epoch, 1u);
  EXPECT_EQ(condition().epoch_ready, 1u);
  EXPECT_TRUE(served.empty());
  tell(it, epoch_go{1});
  ASSERT_EQ(served.size(), 1u);
  tell(it, epoch_go{1});
  EXPECT_EQ(served.size(), 1u);
}

TEST_F(node_supervisor_test, routes_name_who_is_where_the_own_copy_first) {
  join();
  lives_through(1);
  const auto& routes = *served.at(0);
  EXPECT_EQ(routes.sequencer.node, 0u);
  EXPECT_FALSE(routes.sequencer.remote);
  EXPECT_TRUE(routes.stages.at(1).remote);
  EXPECT_EQ(routes.stages.at(1).node, 1u);
  EXPECT_EQ(routes.shards.at(1).at(0).node, 0u);
  EXPECT_EQ(routes.shards.at(1).at(1).node, 1u);
  EXPECT_EQ(routes.doors.at(0), caf::actor_cast<ingress>(parts.at(door)));
  EXPECT_EQ(routes.doors.at(1), to_gateway.as<ingress>());
}

TEST_F(node_supervisor_test, an_epoch_goes_on_its_own_word_only) {
  join();
  lives_through(1);
  learns(state_of(3));
  gateway_wired(3);
  tell(it, epoch_go{2});
  tell(it, epoch_go{4}); // before this node knows the epoch
  EXPECT_EQ(served.size(), 1u);
  learns(state_of(4));
  gateway_wired(3); // late
  EXPECT_EQ(served.size(), 1u);
  gateway_wired(4); // now it is ready, and the word was heard
  EXPECT_EQ(trace.hits["epoch.go"], (std::vector<uint64_t>{1, 4}));
}

TEST_F(node_supervisor_test, older_states_are_ignored) {
  join();
  lives_through(2);
  const auto wires = to_gateway.heard<wire>().size();
  learns(state_of(1));
  learns(state_of(2));
  EXPECT_EQ(to_gateway.heard<wire>().size(), wires);
  EXPECT_EQ(learned, std::vector<uint64_t>{2});
}

TEST_F(node_supervisor_test, a_device_that_does_not_come_to_an_end_serves_nobody_until_it_does) {
  join();
  device.hangs = true;
  learns(state_of(1));
  gateway_wired(1);
  advance(std::chrono::milliseconds(1900));
  EXPECT_TRUE(to_membership.heard<node_condition>().empty());
  advance(std::chrono::milliseconds(200));
  EXPECT_FALSE(condition().serving);
  EXPECT_EQ(condition().epoch_ready, 0u);
  device.wake();
  settle();
  EXPECT_TRUE(condition().serving);
  EXPECT_EQ(condition().epoch_ready, 1u);
  advance(std::chrono::seconds(10));
  EXPECT_TRUE(condition().serving);
}

TEST_F(node_supervisor_test, a_lost_device_serves_nobody_any_more) {
  join();
  lives_through(1);
  tell(it, device_failed{1, "burnt"});
  EXPECT_FALSE(condition().serving);
  EXPECT_EQ(given_up, "");
  learns(state_of(2));
  gateway_wired(2);
  EXPECT_FALSE(condition().serving);
}

TEST_F(node_supervisor_test, a_device_that_takes_no_work_is_lost) {
  join();
  device.gone = status(status_code::device_lost, "gone");
  learns(state_of(1)); // the stage finds no memory
  EXPECT_FALSE(condition().serving);
}

TEST_F(node_supervisor_test, a_part_that_dies_asks_for_an_epoch_that_brings_it_back) {
  join();
  lives_through(1);
  kill(sequencer_role);
  EXPECT_EQ(condition().generation, 0u); // after a pause
  advance(std::chrono::seconds(1));
  EXPECT_EQ(condition().generation, 1u);
  EXPECT_EQ(condition().stages_lost, 0u);
  EXPECT_EQ(state.board->restarts.load(), 1u);
  lives_through(2);
  EXPECT_EQ(starts[sequencer_role], 2);
  EXPECT_EQ(served.size(), 2u);
  kill(stage(0));
  advance(std::chrono::seconds(1));
  EXPECT_EQ(condition().generation, 2u);
  EXPECT_EQ(condition().stages_lost, 1u);
  EXPECT_EQ(given_up, "");
}

TEST_F(node_supervisor_test, parts_that_die_all_the_time_end_the_node) {
  join();
  for (uint64_t epoch = 1; epoch <= 6; ++epoch) {
    lives_through(epoch);
    EXPECT_EQ(given_up, "") << epoch;
    kill(sequencer_role);
    advance(std::chrono::seconds(6));
  }
  EXPECT_NE(given_up.find("sequencer"), std::string::npos) << given_up;
  EXPECT_TRUE(state.board->failed.load());
}

TEST_F(node_supervisor_test, without_its_door_the_node_ends) {
  join();
  lives_through(1);
  kill(door);
  EXPECT_NE(given_up.find("ingress"), std::string::npos) << given_up;
}

TEST_F(node_supervisor_test, without_what_ties_it_to_others_the_node_ends) {
  join();
  lives_through(1);
  caf::anon_send_exit(to_coordinator.actor(), caf::exit_reason::kill);
  settle();
  EXPECT_NE(given_up, "");
}

TEST_F(node_supervisor_test, a_later_start_of_the_same_node_ends_this_one) {
  join();
  tell(it, node_outdated{11});
  EXPECT_NE(given_up.find("11"), std::string::npos) << given_up;
}

TEST_F(node_supervisor_test, a_stuck_epoch_is_told_and_forgotten_with_the_next) {
  join();
  lives_through(1);
  tell(it, pipeline_stuck{9, 1});
  EXPECT_EQ(condition().epoch_stuck, 0u);
  tell(it, pipeline_stuck{1, 7});
  EXPECT_EQ(condition().epoch_stuck, 1u);
  lives_through(2);
  EXPECT_EQ(condition().epoch_stuck, 0u);
}

TEST_F(node_supervisor_test, another_start_of_this_node_in_the_state_gives_it_no_parts) {
  join();
  auto other = state_of(1);
  other.members[0].incarnation = 9;
  learns(other);
  EXPECT_EQ(up(), std::set<role>{door});
  gateway_wired(1);
  EXPECT_TRUE(to_membership.heard<node_condition>().empty()); // ready for nothing
}

TEST_F(node_supervisor_test, stopping_ends_every_part_and_what_ties_it_to_others) {
  join();
  lives_through(1);
  watch(it);
  tell(it, stop_node{});
  EXPECT_TRUE(up().empty());
  EXPECT_EQ(to_gateway.heard<stop_part>().size(), 1u);
  EXPECT_EQ(to_membership.heard<stop_part>().size(), 1u);
  EXPECT_EQ(to_coordinator.heard<stop_part>().size(), 1u);
  EXPECT_FALSE(alive(caf::actor_cast<caf::actor>(it)));
}

} // namespace
} // namespace troupe::actors
