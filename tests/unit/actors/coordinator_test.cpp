// Coordinators wired to each other by hand: they agree on a state, and a voter says nothing that
// it might forget.
#include "actors/coordinator.hpp"

#include "tests/unit/actors/actor_test.hpp"

namespace troupe::actors {
namespace {

using schemas::frame_body;

constexpr uint32_t nodes = 3;

class coordinator_test : public tests::actor_test {
protected:
  using completion = std::function<void(const status&)>;
  struct seat {
    tests::recorder to_gateway, supervisor;
    coordinator it;
    std::vector<schemas::acceptor_state> kept;
    std::vector<completion> keeping; // stores under way, oldest first
    size_t carried = 0;              // datagrams that have been handed out
    uint64_t number = 0;             // of its reports
    uint64_t incarnation = 0;
  };

  coordinator_test() {
    layout.nodes = {"a", "b", "c"};
    layout.voters = nodes;
    layout.stages = 1;
    layout.shards = 0;
    layout.layers = 2;
  }

  void start(uint32_t node, bool remembers = true) {
    auto& s = seats[node];
    s.to_gateway = record();
    s.supervisor = record();
    s.carried = 0;
    s.keeping.clear();
    s.kept.clear();
    ++s.incarnation;
    s.it = own(spawn_coordinator(system_,
                                 {.layout = &layout,
                                  .timing = &timing,
                                  .self = node,
                                  .incarnation = s.incarnation,
                                  .votes = {},
                                  .remembers = remembers,
                                  .keep_votes =
                                      [&s](const schemas::acceptor_state& state, completion done) {
                                        s.kept.push_back(state);
                                        s.keeping.push_back(std::move(done));
                                      },
                                  .time = &time,
                                  .trace = &trace,
                                  .gateway = s.to_gateway.as<gateway>(),
                                  .supervisor = s.supervisor.as<cluster_watcher>()}));
    settle();
  }

  void stored(uint32_t node, const status& how = {}) {
    const auto done = std::exchange(seats[node].keeping, {});
    for (const auto& each : done) each(how);
    settle();
  }
  std::vector<send_datagram> said(uint32_t node) const {
    return seats[node].to_gateway.heard<send_datagram>();
  }
  template <class Body>
  size_t count_said(uint32_t node) const {
    size_t out = 0;
    for (const auto& each : said(node)) out += std::holds_alternative<Body>(*each.body);
    return out;
  }

  void hands(uint32_t from, uint32_t to, const frame_body& body) {
    if (seats[to].it)
      tell(seats[to].it, vote_arrived{from, seats[from].incarnation, make_local(body)});
  }
  // Disks and network do their work until nobody has anything to say.
  void run() {
    for (bool more = true; more;) {
      more = false;
      for (uint32_t node = 0; node < nodes; ++node) {
        if (!seats[node].it) continue;
        more = more || !seats[node].keeping.empty();
        stored(node);
        const auto all = said(node);
        for (; seats[node].carried < all.size(); ++seats[node].carried) {
          more = true;
          const auto& one = all[seats[node].carried];
          for (uint32_t to = 0; to < nodes; ++to)
            if (to != node && (one.target == to || one.target == schemas::no_node))
              hands(node, to, *one.body);
        }
      }
    }
  }

  uint64_t epoch_of(uint32_t node) const {
    const auto states = seats[node].supervisor.heard<apply_state>();
    return states.empty() ? 0 : states.back().state->epoch;
  }
  schemas::cluster_state state_of(uint32_t node) const {
    return *seats[node].supervisor.last<apply_state>().state;
  }
  // What `leader` sees: everybody in `present` hears everybody.
  leading_view view(uint32_t leader, std::vector<uint32_t> present) {
    leading_view out;
    out.should_lead = true;
    out.view.self = leader;
    out.view.reports.resize(nodes);
    std::vector<uint64_t> hears(nodes);
    for (const auto node : present) hears[node] = seats[node].incarnation;
    for (const auto node : present) {
      schemas::node_report report;
      report.node = node;
      report.incarnation = seats[node].incarnation;
      report.number = ++seats[node].number;
      report.epoch = epoch_of(node);
      report.majority = true;
      report.hears = hears;
      out.view.reports[node] = report;
    }
    return out;
  }
  void looks(uint32_t node, const leading_view& what) {
    tell(seats[node].it, view_changed{make_local(what)});
  }
  void follows(uint32_t node) { looks(node, {}); }

  dataflow::cluster_layout layout;
  dataflow::cluster_timing timing;
  std::array<seat, nodes> seats;
};

TEST_F(coordinator_test, three_agree_on_a_first_state_and_on_the_next) {
  for (uint32_t node = 0; node < nodes; ++node) start(node);
  looks(0, view(0, {0, 1, 2}));
  run();
  for (uint32_t node = 0; node < nodes; ++node) {
    ASSERT_EQ(epoch_of(node), 1u) << node;
    EXPECT_EQ(state_of(node), state_of(0));
    EXPECT_TRUE(state_of(node).members[node].present);
  }
  EXPECT_EQ(trace.hits["epoch.agreed"], std::vector<uint64_t>{1});
  looks(0, view(0, {0, 1, 2})); // nothing is new
  run();
  EXPECT_EQ(epoch_of(0), 1u);
  looks(0, view(0, {0, 1}));
  run();
  EXPECT_EQ(epoch_of(1), 2u);
  EXPECT_FALSE(state_of(1).members[2].present);
  EXPECT_EQ(state_of(0), state_of(1));
}

TEST_F(coordinator_test, another_leader_goes_on_from_what_was_agreed) {
  for (uint32_t node = 0; node < nodes; ++node) start(node);
  looks(0, view(0, {0, 1, 2}));
  run();
  follows(0);
  looks(1, view(1, {1, 2}));
  run();
  EXPECT_EQ(epoch_of(1), 2u);
  EXPECT_EQ(epoch_of(2), 2u);
  EXPECT_FALSE(state_of(2).members[0].present);
}

TEST_F(coordinator_test, two_leaders_at_once_do_not_disagree) {
  for (uint32_t node = 0; node < nodes; ++node) start(node);
  looks(0, view(0, {0, 1, 2}));
  looks(1, view(1, {0, 1, 2}));
  for (int i = 0; i < 20 && (epoch_of(0) == 0 || epoch_of(1) == 0); ++i) {
    run();
    advance(timing.report_every);
    looks(0, view(0, {0, 1, 2}));
    if (i % 3 == 0) looks(1, view(1, {0, 1, 2}));
  }
  run();
  ASSERT_GE(epoch_of(0), 1u);
  std::map<uint64_t, schemas::cluster_state> agreed;
  for (const auto& s : seats)
    for (const auto& told : s.supervisor.heard<apply_state>()) {
      const auto known = agreed.emplace(told.state->epoch, *told.state).first;
      EXPECT_EQ(known->second, *told.state);
    }
}

TEST_F(coordinator_test, who_lags_is_told_what_was_agreed) {
  start(0);
  start(1);
  looks(0, view(0, {0, 1}));
  run();
  start(2);
  looks(0, view(0, {0, 1, 2}));
  run();
  std::vector<uint64_t> told;
  for (const auto& each : seats[2].supervisor.heard<apply_state>())
    told.push_back(each.state->epoch);
  EXPECT_EQ(told, (std::vector<uint64_t>{1, 2}));
  EXPECT_TRUE(state_of(2).members[2].present);
}

TEST_F(coordinator_test, a_vote_leaves_when_it_is_durable_and_not_before) {
  start(0);
  start(1);
  hands(0, 1, schemas::register_prepare{{5, 0}});
  ASSERT_EQ(seats[1].kept.size(), 1u);
  EXPECT_EQ(seats[1].kept[0].promised, (schemas::ballot{5, 0}));
  EXPECT_TRUE(said(1).empty());
  hands(0, 1,
        schemas::register_prepare{{5, 0}}); // repeated: nothing changes, but it is not durable
  EXPECT_TRUE(said(1).empty());
  stored(1);
  ASSERT_EQ(said(1).size(), 2u);
  EXPECT_EQ(said(1)[0].target, 0u);
  EXPECT_TRUE(std::get<schemas::register_promise>(*said(1)[0].body).granted);
  schemas::cluster_state value;
  value.epoch = 1;
  hands(0, 1, schemas::register_accept{{5, 0}, value});
  EXPECT_EQ(said(1).size(), 2u);
  EXPECT_EQ(seats[1].kept.back().value, value);
  stored(1);
  EXPECT_TRUE(std::get<schemas::register_accepted>(*said(1).back().body).granted);
}

TEST_F(coordinator_test, a_disk_that_stands_still_lets_no_answers_pile_up) {
  start(0);
  start(1);
  for (int i = 0; i < 1000; ++i) hands(0, 1, schemas::register_prepare{{5, 0}});
  EXPECT_TRUE(said(1).empty());
  stored(1);
  EXPECT_EQ(said(1).size(), 256u);
}

TEST_F(coordinator_test, a_voter_that_cannot_store_is_silent_and_tries_again) {
  start(0);
  start(1);
  hands(0, 1, schemas::register_prepare{{5, 0}});
  stored(1, status(status_code::exhausted, "the disk is full"));
  EXPECT_TRUE(said(1).empty());
  EXPECT_TRUE(seats[1].keeping.empty());
  follows(1);
  ASSERT_EQ(seats[1].keeping.size(), 1u);
  EXPECT_EQ(seats[1].kept.back().promised, (schemas::ballot{5, 0}));
  stored(1, status(status_code::exhausted, "still"));
  follows(1);
  follows(1); // under way: once
  ASSERT_EQ(seats[1].keeping.size(), 1u);
  stored(1);
  ASSERT_EQ(said(1).size(), 1u);
  EXPECT_TRUE(std::get<schemas::register_promise>(*said(1)[0].body).granted);
}

TEST_F(coordinator_test, a_voter_without_memory_asks_the_others_before_it_votes) {
  for (uint32_t node = 0; node < nodes; ++node) start(node);
  looks(0, view(0, {0, 1, 2}));
  run();
  start(2, false);
  hands(0, 2, schemas::register_prepare{{99, 0}});
  EXPECT_TRUE(said(2).empty() && seats[2].kept.empty());
  follows(2);
  EXPECT_EQ(count_said<schemas::register_recover>(2), 2u);
  run();
  ASSERT_FALSE(seats[2].kept.empty());
  EXPECT_EQ(seats[2].kept.back().value.epoch, 1u);
  EXPECT_EQ(trace.count("register.recovered"), 1u);
  hands(0, 2, schemas::register_prepare{{99, 0}});
  stored(2);
  EXPECT_EQ(count_said<schemas::register_promise>(2), 1u);
  follows(2); // and does not ask again
  EXPECT_EQ(count_said<schemas::register_recover>(2), 2u);
}

TEST_F(coordinator_test, who_is_no_voter_follows_and_does_not_vote) {
  layout.voters = 1;
  start(0);
  start(2);
  hands(0, 2, schemas::register_prepare{{5, 0}});
  hands(0, 2, schemas::register_accept{{5, 0}, {}});
  hands(0, 2, schemas::register_recover{5});
  looks(2, view(2, {0, 2}));
  EXPECT_TRUE(said(2).empty() && seats[2].kept.empty());
  schemas::cluster_state state;
  state.epoch = 4;
  state.members.resize(nodes);
  hands(0, 2, schemas::state_update{state});
  EXPECT_EQ(epoch_of(2), 4u);
  state.epoch = 3; // late
  hands(0, 2, schemas::state_update{state});
  EXPECT_EQ(seats[2].supervisor.heard<apply_state>().size(), 1u);
}

} // namespace
} // namespace troupe::actors
