// The membership between recorders: what it says, when, and what it concludes.
#include "actors/membership.hpp"

#include "actors/metrics_board.hpp"
#include "dataflow/membership_rules.hpp"
#include "tests/unit/actors/actor_test.hpp"

namespace troupe::actors {
namespace {

using schemas::node_report;

class membership_test : public tests::actor_test {
protected:
  membership_test() {
    layout.nodes = {"a", "b", "c"};
    layout.voters = 3;
    layout.stages = 1;
    layout.shards = 0;
    layout.layers = 2;
    it = own(spawn_membership(
        system_, {.layout = &layout,
                  .timing = &timing,
                  .self = 0,
                  .incarnation = 10,
                  .model = 77,
                  .layout_number = 88,
                  .figures = {.speed = 240, .memory = 1 << 30},
                  .board = &board,
                  .graph = &graph,
                  .time = &time,
                  .trace = &trace,
                  .peers = {to_gateway.as<gateway>(), to_coordinator.as<coordinator>(),
                            supervisor.as<cluster_watcher>()},
                  .drained = [this] { ++drained; },
                  .heard = [this](const node_report& from) { heard.push_back(from.node); },
                  .unfit = [this](const std::string& why) { unfit.push_back(why); }}));
    settle();
  }

  size_t reports_sent() const { return to_gateway.heard<send_datagram>().size(); }
  node_report report() const {
    const auto sent = to_gateway.last<send_datagram>();
    EXPECT_EQ(sent.target, schemas::no_node);
    return std::get<node_report>(*sent.body);
  }
  node_report of(uint32_t node) {
    node_report out;
    out.node = node;
    out.incarnation = 10 + node;
    out.number = ++number;
    out.majority = true;
    out.hears = {10, 11, 12};
    return out;
  }
  void hears(const node_report& report) { tell(it, report_arrived{make_local(report)}); }
  void learns(uint64_t epoch, uint32_t nodes = 3, uint32_t sequencer_at = 0) {
    schemas::cluster_state state;
    state.epoch = epoch;
    for (uint32_t node = 0; node < 3; ++node)
      state.members.push_back({.incarnation = 10 + node, .present = node < nodes, .serving = true});
    state.where.sequencer = sequencer_at;
    state.where.stages = {sequencer_at};
    tell(it, state_learned{make_local(state)});
  }
  void ready(uint32_t node, uint64_t epoch) {
    if (node == 0) return tell(it, node_condition{.epoch_ready = epoch});
    auto from = of(node);
    from.epoch = from.epoch_ready = epoch;
    hears(from);
  }

  dataflow::cluster_layout layout;
  dataflow::cluster_timing timing;
  metrics_board board{2, 3};
  dataflow::pipeline_graph graph =
      dataflow::plan_single_node({.layers = 2, .experts = 3, .stages = 1, .shards = 2}).value();
  std::vector<uint32_t> heard; // of whom
  tests::recorder to_gateway = record(), to_coordinator = record(), supervisor = record();
  int drained = 0;
  std::vector<std::string> unfit;
  uint64_t number = 0;
  membership it;
};

TEST_F(membership_test, reports_at_once_at_every_tick_and_at_every_change) {
  EXPECT_EQ(reports_sent(), 1u);
  EXPECT_EQ(report().number, 1u);
  EXPECT_EQ(report().incarnation, 10u);
  advance(timing.report_every * 3);
  EXPECT_EQ(report().number, 4u);
  tell(
      it,
      node_condition{
          .epoch_ready = 1, .epoch_stuck = 2, .generation = 3, .stages_lost = 4, .serving = false});
  EXPECT_EQ(report().number, 5u);
  EXPECT_EQ(report().epoch_ready, 1u);
  EXPECT_EQ(report().epoch_stuck, 2u);
  EXPECT_EQ(report().generation, 3u);
  EXPECT_EQ(report().stages_lost, 4u);
  EXPECT_FALSE(report().serving);
  learns(7);
  EXPECT_EQ(report().number, 6u);
  EXPECT_EQ(report().epoch, 7u);
  EXPECT_EQ(to_coordinator.heard<view_changed>().size(), 6u);
}

TEST_F(membership_test, tells_what_it_can_and_what_its_shards_have_had_to_do) {
  EXPECT_EQ(report().speed, 240u);
  EXPECT_EQ(report().memory, 1u << 30);
  EXPECT_EQ(report().shard_rows, (std::vector<uint64_t>{0, 0}));
  count(board.expert_tokens(0, 0), 5);
  count(board.expert_tokens(1, 0), 6);
  count(board.expert_tokens(1, 2), 7);
  advance(std::chrono::seconds(1));
  EXPECT_EQ(report().shard_rows, (std::vector<uint64_t>{11, 7}));
  EXPECT_EQ(heard.back(), 0u); // its own, too
  hears(of(1));
  EXPECT_EQ(heard.back(), 1u);
  hears(of(9)); // a stranger
  EXPECT_EQ(heard.back(), 1u);
}

TEST_F(membership_test, who_computes_something_else_is_not_heard) {
  EXPECT_EQ(report().model, 77u);
  EXPECT_EQ(report().layout, 88u);
  auto same = of(1);
  same.model = 77;
  same.layout = 88;
  hears(same);
  hears(of(2)); // a program that does not say
  advance(timing.report_every);
  EXPECT_EQ(report().hears, (std::vector<uint64_t>{10, 11, 12}));
  auto other = of(1);
  other.incarnation = 21; // has started again, with another model
  other.model = 78;
  hears(other);
  other = of(2);
  other.incarnation = 22;
  other.layout = 89;
  hears(other);
  advance(std::chrono::seconds(11)); // the former ones are silent
  EXPECT_EQ(report().hears, (std::vector<uint64_t>{10, 0, 0}));
  EXPECT_TRUE(unfit.empty()) << "nobody takes part in anything";
}

TEST_F(membership_test, who_is_outside_of_an_epoch_of_another_model_is_unfit) {
  auto other = of(1);
  other.model = 78;
  hears(other);
  EXPECT_TRUE(unfit.empty());
  other.epoch_ready = 4;
  hears(other);
  hears(other);
  ASSERT_EQ(unfit.size(), 1u);
  auto third = of(2);
  third.model = 78;
  third.epoch_ready = 4;
  const auto sent = reports_sent();
  hears(third);
  EXPECT_EQ(reports_sent(), sent + 1) << "it has to know too";
  for (const char* each : {"nodes a and b", "models differ", "4d on a", "4e on b"})
    EXPECT_NE(unfit[0].find(each), std::string::npos) << unfit[0];
}

TEST_F(membership_test, who_takes_part_in_an_epoch_stays_whoever_comes) {
  ready(0, 3);
  auto other = of(1);
  other.layout = 89;
  hears(other);
  other.epoch_ready = 4;
  hears(other);
  EXPECT_TRUE(unfit.empty());
}

TEST_F(membership_test, where_nobody_votes_it_leads_when_the_store_says_so) {
  layout.voters = 0;
  auto lone = own(spawn_membership(
      system_, {.layout = &layout,
                .timing = &timing,
                .self = 0,
                .incarnation = 10,
                .board = &board,
                .time = &time,
                .trace = &trace,
                .peers = {to_gateway.as<gateway>(), to_coordinator.as<coordinator>(),
                          supervisor.as<cluster_watcher>()},
                .drained = [] {}}));
  settle();
  EXPECT_FALSE(report().leads);
  EXPECT_TRUE(to_coordinator.last<view_changed>().now->should_lead); // it may
  EXPECT_EQ(to_coordinator.last<view_changed>().now->view.reports.size(), 3u);
  const auto sent = reports_sent();
  tell(lone, leading_changed{true});
  EXPECT_EQ(reports_sent(), sent + 1);
  EXPECT_TRUE(report().leads);
  tell(lone, leading_changed{false});
  EXPECT_FALSE(report().leads);
}

TEST_F(membership_test, says_whom_it_hears_and_suspects_who_falls_silent) {
  for (int i = 0; i < 20; ++i) {
    hears(of(1));
    hears(of(2));
    advance(timing.report_every);
  }
  EXPECT_EQ(report().hears, (std::vector<uint64_t>{10, 11, 12}));
  EXPECT_TRUE(report().majority);
  EXPECT_TRUE(report().leads);
  for (int i = 0; i < 30; ++i) {
    hears(of(1));
    advance(timing.report_every);
  }
  EXPECT_EQ(report().hears, (std::vector<uint64_t>{10, 11, 0}));
  EXPECT_EQ(trace.hits["node.suspected"], std::vector<uint64_t>{2});
  advance(std::chrono::seconds(5));
  EXPECT_FALSE(report().majority || report().leads);
  EXPECT_FALSE(to_coordinator.last<view_changed>().now->should_lead);
}

TEST_F(membership_test, says_at_once_that_somebody_was_cut_off) {
  hears(of(1));
  hears(of(2));
  advance(timing.report_every * 5 / 4);
  const auto before = reports_sent();
  tell(it, peer_cut_off{2, 12});
  tell(it, peer_cut_off{1, 9}); // an earlier life
  advance(timing.reconnect_allowed);
  EXPECT_EQ(reports_sent(), before + 1); // not waiting for the tick
  EXPECT_EQ(report().hears, (std::vector<uint64_t>{10, 11, 0}));
  EXPECT_EQ(trace.hits["node.suspected"], std::vector<uint64_t>{2});
  EXPECT_FALSE(to_coordinator.last<view_changed>().now->view.reports.at(2).has_value());
}

TEST_F(membership_test, who_reconnects_in_time_is_not_suspected) {
  hears(of(1));
  hears(of(2));
  tell(it, peer_cut_off{2, 12});
  hears(of(2));
  advance(timing.reconnect_allowed * 2);
  EXPECT_EQ(report().hears, (std::vector<uint64_t>{10, 11, 12}));
}

TEST_F(membership_test, gives_the_leader_what_the_others_say) {
  auto from = of(1);
  from.generation = 9;
  hears(from);
  hears(of(2));
  const auto view = to_coordinator.last<view_changed>().now;
  ASSERT_TRUE(view->should_lead);
  EXPECT_EQ(view->view.reports.at(1)->generation, 9u);
  EXPECT_EQ(view->view.reports.at(0)->incarnation, 10u);
}

TEST_F(membership_test, the_epoch_goes_once_when_the_last_one_is_ready) {
  learns(3);
  ready(0, 3);
  ready(1, 3);
  ready(2, 2);
  EXPECT_TRUE(supervisor.heard<epoch_go>().empty());
  ready(2, 3);
  ASSERT_EQ(supervisor.heard<epoch_go>().size(), 1u);
  EXPECT_EQ(supervisor.last<epoch_go>().epoch, 3u);
  ready(1, 3);
  ready(0, 3);
  advance(timing.report_every);
  EXPECT_EQ(supervisor.heard<epoch_go>().size(), 1u);
  EXPECT_EQ(report().epoch_go, 3u);
  learns(4, 2); // without c
  ready(1, 4);
  ready(0, 4);
  EXPECT_EQ(supervisor.last<epoch_go>().epoch, 4u);
}

TEST_F(membership_test, readiness_of_an_earlier_life_does_not_count) {
  learns(3, 2);
  ready(0, 3);
  auto from = of(1);
  from.incarnation = 9;
  from.epoch_ready = 3;
  hears(from);
  EXPECT_TRUE(supervisor.heard<epoch_go>().empty());
}

TEST_F(membership_test, believes_who_has_seen_that_everybody_is_ready) {
  auto from = of(1);
  from.epoch_go = 6;
  hears(from);
  EXPECT_EQ(supervisor.last<epoch_go>().epoch, 6u);
  auto again = of(2);
  again.epoch_go = 6;
  hears(again);
  from = of(1);
  from.epoch_go = 5;
  hears(from);
  EXPECT_EQ(supervisor.heard<epoch_go>().size(), 1u);
}

TEST_F(membership_test, learns_that_it_is_a_ghost) {
  auto from = of(1);
  from.hears = {11, 11, 12};
  hears(from);
  EXPECT_EQ(supervisor.last<node_outdated>().incarnation, 11u);
}

TEST_F(membership_test, old_and_repeated_reports_change_nothing) {
  learns(3, 2);
  ready(0, 3);
  auto late = of(1); // overtaken by the next one
  late.epoch_ready = 3;
  hears(of(1));
  hears(late);
  EXPECT_TRUE(supervisor.heard<epoch_go>().empty());
}

TEST_F(membership_test, a_drain_is_over_without_roles_and_streams) {
  learns(1);
  board.streams_open = 1;
  tell(it, begin_drain{});
  EXPECT_TRUE(report().draining);
  const auto sent = reports_sent();
  tell(it, begin_drain{});
  EXPECT_EQ(reports_sent(), sent); // once
  advance(timing.report_every * 2);
  EXPECT_EQ(drained, 0);
  learns(2, 3, 1); // its roles are elsewhere
  advance(timing.report_every * 2);
  EXPECT_EQ(drained, 0);
  board.streams_open = 0;
  advance(timing.report_every * 5);
  EXPECT_EQ(drained, 1);
}

TEST_F(membership_test, the_last_of_a_cluster_that_drains_leaves_with_its_roles) {
  learns(1);
  board.streams_open = 1;
  tell(it, begin_drain{});
  EXPECT_TRUE(report().has_streams);
  auto leaving = [this](uint32_t node, bool has_streams) {
    auto from = of(node);
    from.draining = true;
    from.has_streams = has_streams;
    return from;
  };
  hears(leaving(1, true));
  hears(leaving(2, false));
  board.streams_open = 0;
  advance(timing.report_every * 2);
  EXPECT_FALSE(report().has_streams);
  EXPECT_EQ(drained, 0); // the other one's streams
  hears(leaving(1, false));
  advance(timing.report_every * 2);
  EXPECT_EQ(drained, 1);
}

} // namespace
} // namespace troupe::actors
