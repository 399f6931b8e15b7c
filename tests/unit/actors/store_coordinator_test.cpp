// Coordinators around one store: who holds its lease decides, nobody else, and never on a guess.
#include "actors/store_coordinator.hpp"

#include "tests/unit/actors/actor_test.hpp"
#include "tests/unit/actors/fake_store.hpp"

#include <algorithm>
#include <array>

namespace troupe::actors {
namespace {

using schemas::frame_body;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint32_t nodes = 3;
using node_list = std::vector<uint32_t>;

class store_coordinator_test : public tests::actor_test {
protected:
  struct seat {
    tests::recorder to_gateway, supervisor, watcher;
    coordinator it;
    size_t carried = 0; // datagrams that have been handed out
    uint64_t number = 0;
    uint64_t incarnation = 0;
    node_list hears; // and is heard by
  };

  store_coordinator_test() {
    layout.nodes = {"a", "b", "c"};
    layout.voters = 0;
    layout.stages = 1;
    layout.shards = 0;
    layout.layers = 2;
  }

  void start(uint32_t node) {
    auto& s = seats[node];
    s.to_gateway = record();
    s.supervisor = record();
    s.watcher = record();
    s.carried = 0;
    ++s.incarnation;
    s.it =
        own(spawn_store_coordinator(system_, {.layout = &layout,
                                              .timing = &timing,
                                              .lease = lease,
                                              .self = node,
                                              .incarnation = s.incarnation,
                                              .store = &store,
                                              .time = &time,
                                              .trace = &trace,
                                              .gateway = s.to_gateway.as<gateway>(),
                                              .supervisor = s.supervisor.as<cluster_watcher>()}));
    settle();
  }
  void start_all() {
    for (uint32_t node = 0; node < nodes; ++node) start(node);
    connect({0, 1, 2});
    run(seconds(1));
  }
  void end(uint32_t node) {
    caf::anon_send_exit(seats[node].it, caf::exit_reason::kill);
    seats[node].it = nullptr;
    settle();
  }
  // Exactly these hear each other.
  void connect(const node_list& together) {
    for (const auto node : together) seats[node].hears = together;
  }
  void cut_off(uint32_t node) {
    seats[node].hears = {node};
    for (uint32_t other = 0; other < nodes; ++other)
      if (other != node)
        seats[other].hears.erase(
            std::remove(seats[other].hears.begin(), seats[other].hears.end(), node),
            seats[other].hears.end());
  }

  // Time passes: views come ten times a second, datagrams arrive.
  void run(duration by) {
    for (duration passed{}; passed < by; passed += milliseconds(100)) {
      for (uint32_t node = 0; node < nodes; ++node) show_view(node);
      carry();
      advance(milliseconds(100));
      carry();
    }
  }
  void show_view(uint32_t node) {
    auto& s = seats[node];
    if (!s.it) return;
    caf::send_as(s.watcher.actor(), s.it, view_changed{make_local(view_of(node))});
    settle();
  }
  void carry() {
    for (uint32_t node = 0; node < nodes; ++node) {
      auto& s = seats[node];
      const auto all = s.to_gateway.heard<send_datagram>();
      for (; s.carried < all.size(); ++s.carried)
        for (const auto to : s.hears)
          if (to != node && seats[to].it &&
              (all[s.carried].target == to || all[s.carried].target == schemas::no_node))
            tell(seats[to].it, vote_arrived{node, s.incarnation, all[s.carried].body});
    }
  }
  schemas::node_report report_of(uint32_t node) {
    schemas::node_report report;
    report.node = node;
    report.incarnation = seats[node].incarnation;
    report.number = ++seats[node].number;
    report.epoch = epoch_of(node);
    report.leads = leads(node);
    report.hears.resize(nodes);
    for (const auto other : seats[node].hears) report.hears[other] = seats[other].incarnation;
    return report;
  }
  leading_view view_of(uint32_t node) {
    leading_view out;
    out.should_lead = may_lead;
    out.view.self = node;
    out.view.reports.resize(nodes);
    for (const auto other : seats[node].hears) out.view.reports[other] = report_of(other);
    return out;
  }

  bool leads(uint32_t node) const {
    if (!seats[node].it) return false;
    const auto told = seats[node].watcher.heard<leading_changed>();
    return !told.empty() && told.back().leads;
  }
  uint32_t leader() const {
    uint32_t found = schemas::no_node;
    for (uint32_t node = 0; node < nodes; ++node) {
      if (!leads(node)) continue;
      EXPECT_EQ(found, schemas::no_node) << "two lead";
      found = node;
    }
    return found;
  }
  uint64_t epoch_of(uint32_t node) const {
    const auto states = seats[node].supervisor.heard<apply_state>();
    return states.empty() ? 0 : states.back().state->epoch;
  }
  schemas::cluster_state state_of(uint32_t node) const {
    return *seats[node].supervisor.last<apply_state>().state;
  }
  bool present(uint32_t node) const { return store.contents.state.members.at(node).present; }
  // How long until it is so; less than `most`.
  duration time_until(const std::function<bool()>& condition, duration most) {
    const auto begun = time.now();
    while (!condition() && time.now() - begun < most) run(milliseconds(100));
    EXPECT_LT(time.now() - begun, most);
    return time.now() - begun;
  }

  dataflow::cluster_layout layout;
  dataflow::cluster_timing timing;
  dataflow::lease_timing lease;
  tests::fake_store store{time};
  std::array<seat, nodes> seats;
  bool may_lead = true;
};

TEST_F(store_coordinator_test, one_leads_and_all_learn_what_it_decides) {
  start_all();
  const auto first = leader();
  ASSERT_NE(first, schemas::no_node);
  EXPECT_EQ(store.leader(), layout.nodes[first]);
  EXPECT_EQ(store.contents.state.epoch, 1u);
  for (uint32_t node = 0; node < nodes; ++node) {
    ASSERT_EQ(epoch_of(node), 1u) << node;
    EXPECT_EQ(state_of(node), store.contents.state);
    EXPECT_TRUE(present(node));
  }
  run(seconds(10));
  EXPECT_EQ(leader(), first);
  EXPECT_EQ(store.replacements, 1u); // nothing is new
  EXPECT_EQ(store.campaigns, 3u);    // nor does anybody else reach for the lead
}

TEST_F(store_coordinator_test, a_leader_that_falls_silent_unseen_is_followed_by_another_in_time) {
  start_all();
  const auto first = leader();
  end(first); // the others still hear it
  const auto took = time_until([&] { return leader() != schemas::no_node; }, seconds(3));
  EXPECT_GT(took, seconds(1));
  EXPECT_EQ(store.contents.state.epoch, 1u);
}

TEST_F(store_coordinator_test, a_leader_that_nobody_hears_is_followed_at_once) {
  start_all();
  const auto first = leader();
  end(first);
  cut_off(first);
  time_until([&] { return store.contents.state.epoch == 2; }, milliseconds(400));
  EXPECT_FALSE(present(first));
  run(milliseconds(200));
  EXPECT_EQ(epoch_of(leader()), 2u);
}

TEST_F(store_coordinator_test, a_leader_that_leaves_in_good_order_is_followed_at_once) {
  start_all();
  const auto first = leader();
  tell(seats[first].it, stop_part{});
  seats[first].it = nullptr;
  EXPECT_EQ(store.leader(), "");
  time_until([&] { return leader() != schemas::no_node; }, milliseconds(500));
}

TEST_F(store_coordinator_test, a_leader_cut_off_from_the_others_hands_over) {
  start_all();
  const auto first = leader();
  cut_off(first);
  time_until([&] { return store.contents.state.epoch == 2; }, seconds(1));
  EXPECT_NE(leader(), first);
  EXPECT_FALSE(present(first));
  run(seconds(5));
  EXPECT_NE(leader(), first);
  EXPECT_EQ(store.contents.state.epoch, 2u); // nobody fights
  EXPECT_EQ(epoch_of(first), 2u);            // the store told it
}

TEST_F(store_coordinator_test, whoever_is_left_goes_on_alone) {
  start_all();
  for (const uint32_t node : {0u, 1u}) {
    end(node);
    cut_off(node);
  }
  seats[2].hears = {2};
  // The end of the lease, and a second in which somebody better placed may take it.
  time_until([&] { return store.contents.state.epoch >= 2 && !present(0) && !present(1); },
             seconds(4));
  EXPECT_EQ(leader(), 2u);
}

TEST_F(store_coordinator_test, while_the_store_is_away_nothing_is_decided_and_nobody_leads) {
  start_all();
  const auto first = leader();
  const auto other = (first + 1) % nodes;
  store.reachable = false;
  end(other);
  cut_off(other);
  run(seconds(1));
  run(milliseconds(800)); // 200 ms before the term ends
  EXPECT_EQ(leader(), schemas::no_node);
  run(seconds(10));
  EXPECT_EQ(epoch_of(first), 1u);
  EXPECT_EQ(trace.count("store.failed"), 2u); // each of two says so, once
  store.reachable = true;
  time_until([&] { return store.contents.state.epoch == 2; }, seconds(1));
  EXPECT_FALSE(present(other));
  EXPECT_EQ(trace.count("store.failed"), 2u);
}

TEST_F(store_coordinator_test, a_short_absence_of_the_store_changes_nothing) {
  start_all();
  const auto first = leader();
  store.reachable = false;
  run(seconds(1));
  store.reachable = true;
  run(seconds(3));
  EXPECT_EQ(leader(), first);
  EXPECT_EQ(store.contents.state.epoch, 1u);
}

TEST_F(store_coordinator_test, who_has_lost_the_lease_writes_nothing) {
  start_all();
  const auto first = leader();
  const auto other = (first + 1) % nodes;
  // The store has given the lease to somebody else, and the leader does not know yet.
  const auto third = (first + 2) % nodes;
  store.contents.leader = storage::store_leader{layout.nodes[third], 1, 1000, 1000};
  end(other);
  cut_off(other);
  show_view(first);
  EXPECT_EQ(store.replacements, 2u); // it tried
  EXPECT_EQ(store.contents.state.epoch, 1u);
  EXPECT_EQ(epoch_of(first), 1u);
  EXPECT_EQ(trace.count("store.refused"), 1u);
  EXPECT_FALSE(leads(first));
}

TEST_F(store_coordinator_test, a_store_that_has_lost_everything_gets_it_back) {
  start_all();
  start(leader()); // it knows nothing, too
  const auto before = store.contents.state;
  store.contents = {};
  run(seconds(4));
  EXPECT_GE(store.contents.state.epoch, before.epoch);
  for (uint32_t node = 0; node < nodes; ++node) {
    EXPECT_EQ(state_of(node), store.contents.state);
    EXPECT_TRUE(present(node));
  }
}

TEST_F(store_coordinator_test, a_cluster_that_starts_again_goes_on_from_what_is_stored) {
  start_all();
  const auto before = store.contents.state;
  for (uint32_t node = 0; node < nodes; ++node) end(node);
  store.contents.leader.reset();
  start_all();
  run(seconds(2));
  EXPECT_EQ(store.contents.state.epoch, before.epoch + 1);
  EXPECT_EQ(store.contents.state.members[0].incarnation, 2u);
}

TEST_F(store_coordinator_test, a_leader_that_restarts_does_not_wait_for_its_own_lease) {
  start_all();
  const auto first = leader();
  end(first);
  start(first);
  time_until([&] { return store.contents.state.epoch == 2; }, milliseconds(800));
  EXPECT_EQ(store.contents.state.members[first].incarnation, 2u);
}

TEST_F(store_coordinator_test, the_state_of_another_cluster_is_left_alone) {
  schemas::cluster_state stranger;
  stranger.epoch = 40;
  stranger.members.resize(7);
  store.contents = {{}, 5, dataflow::fingerprint(layout) + 1, stranger};
  start_all();
  run(seconds(5));
  EXPECT_EQ(store.contents.state, stranger);
  EXPECT_EQ(store.replacements, 0u);
  EXPECT_EQ(epoch_of(0), 0u);
}

TEST_F(store_coordinator_test, a_ghost_does_not_lead) {
  may_lead = false;
  start_all();
  run(seconds(5));
  EXPECT_EQ(store.campaigns, 0u);
  EXPECT_EQ(leader(), schemas::no_node);
}

TEST_F(store_coordinator_test, votes_are_ignored) {
  start(0);
  for (const frame_body& body :
       {frame_body(schemas::register_prepare{{5, 1}}), frame_body(schemas::register_recover{5})})
    tell(seats[0].it, vote_arrived{1, 1, make_local(body)});
  EXPECT_EQ(seats[0].to_gateway.size(), 0u);
}

} // namespace
} // namespace troupe::actors
