// Who hears whom, who leads, who is in, and what the next state is.
#include "dataflow/membership_rules.hpp"

#include "dataflow/placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::dataflow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using verdict = membership_table::verdict;

time_point at(int64_t ms) {
  return time_point{} + milliseconds(ms);
}

cluster_layout cluster_of(uint32_t nodes, uint32_t voters) {
  cluster_layout layout;
  for (uint32_t n = 0; n < nodes; ++n) layout.nodes.push_back(std::string(1, 'a' + char(n)));
  layout.voters = voters;
  layout.stages = 2;
  layout.shards = 4;
  layout.shard_copies = 2;
  layout.layers = 4;
  layout.experts = 8;
  return layout;
}

node_report report_of(node_index node, uint64_t number, std::vector<uint64_t> hears) {
  node_report report;
  report.node = node;
  report.incarnation = 1;
  report.number = number;
  report.hears = std::move(hears);
  return report;
}

// -- the table of one node

class membership_table_test : public testing::Test {
protected:
  // Everybody but node 0 reports that it hears these.
  void hear_all(int64_t ms, std::vector<uint64_t> hears = {1, 1, 1}) {
    ++number;
    for (node_index n = 1; n < 3; ++n) table.on_report(report_of(n, number, hears), at(ms));
  }

  cluster_layout layout = cluster_of(3, 3);
  cluster_timing timing;
  membership_table table{layout, timing, 0, 1, at(0)};
  uint64_t number = 0;
};

TEST_F(membership_table_test, takes_each_report_once_and_in_order) {
  EXPECT_EQ(table.on_report(report_of(1, 5, {1, 1, 1}), at(0)), verdict::restarted);
  EXPECT_EQ(table.on_report(report_of(1, 6, {1, 1, 1}), at(1)), verdict::taken);
  EXPECT_EQ(table.on_report(report_of(1, 6, {1, 1, 1}), at(2)), verdict::stale);
  EXPECT_EQ(table.on_report(report_of(1, 4, {1, 1, 1}), at(2)), verdict::stale);
  auto reborn = report_of(1, 1, {1, 2, 1});
  reborn.incarnation = 2;
  EXPECT_EQ(table.on_report(reborn, at(3)), verdict::restarted);
  EXPECT_EQ(table.on_report(report_of(1, 7, {1, 1, 1}), at(4)), verdict::stale);
  EXPECT_EQ(table.report(1)->incarnation, 2u);
  EXPECT_EQ(table.report(2), nullptr);
}

TEST_F(membership_table_test, refuses_reports_that_make_no_sense) {
  EXPECT_EQ(table.on_report(report_of(3, 1, {1, 1, 1}), at(0)), verdict::stale);
  EXPECT_EQ(table.on_report(report_of(no_node, 1, {1, 1, 1}), at(0)), verdict::stale);
  EXPECT_EQ(table.on_report(report_of(1, 1, {1, 1}), at(0)), verdict::stale);
  EXPECT_EQ(table.on_report(report_of(0, 1, {1, 1, 1}), at(0)), verdict::stale);
}

TEST_F(membership_table_test, silence_beyond_the_allowance_is_not_hearing) {
  const auto allowance = first_allowance(timing);
  hear_all(0);
  EXPECT_EQ(table.hears(at(1)), (std::vector<uint64_t>{1, 1, 1}));
  EXPECT_EQ(table.next_suspicion(at(1)), at(0) + allowance);
  EXPECT_TRUE(table.connected(1, at(0) + allowance - duration(1)));
  EXPECT_FALSE(table.connected(1, at(0) + allowance));
  EXPECT_EQ(table.hears(at(0) + allowance), (std::vector<uint64_t>{1, 0, 0}));
  EXPECT_FALSE(table.next_suspicion(at(0) + allowance).has_value());
}

TEST_F(membership_table_test, who_is_cut_off_is_not_heard_unless_it_speaks_again) {
  hear_all(0);
  EXPECT_EQ(table.on_cut_off(1, 1, at(10)), at(10) + timing.reconnect_allowed);
  for (const node_index nobody : {0u, 3u, no_node})
    EXPECT_FALSE(table.on_cut_off(nobody, 1, at(10)));
  EXPECT_FALSE(table.on_cut_off(2, 9, at(10))); // another life
  EXPECT_EQ(table.hears(at(59)), (std::vector<uint64_t>{1, 1, 1}));
  EXPECT_EQ(table.hears(at(60)), (std::vector<uint64_t>{1, 0, 1}));
  EXPECT_FALSE(table.on_cut_off(1, 1, at(61))); // known
  hear_all(62);
  EXPECT_EQ(table.hears(at(150)), (std::vector<uint64_t>{1, 1, 1}));
}

TEST_F(membership_table_test, one_lost_report_changes_nothing) {
  for (int n = 0; n < 30; ++n)
    if (n % 10 != 9) hear_all(n * 100);
  EXPECT_TRUE(table.connected(1, at(3000)));
}

TEST_F(membership_table_test, a_peer_that_does_not_hear_us_is_not_connected) {
  hear_all(0, {0, 1, 1});
  EXPECT_EQ(table.hears(at(1)), (std::vector<uint64_t>{1, 1, 1}));
  EXPECT_FALSE(table.connected(1, at(1)));
  EXPECT_FALSE(table.has_majority(at(1)));
  hear_all(2, {7, 1, 1}); // nor one that hears another life of ours
  EXPECT_FALSE(table.connected(1, at(2)));
}

TEST_F(membership_table_test, whom_others_heard_restarted_is_not_heard_any_more) {
  hear_all(0);
  table.on_report(report_of(1, 9, {1, 1, 4}), at(1));
  EXPECT_EQ(table.newest_incarnation(2), 4u);
  EXPECT_EQ(table.hears(at(1)), (std::vector<uint64_t>{1, 1, 0}));
  EXPECT_FALSE(table.connected(2, at(1)));
  EXPECT_EQ(table.on_report(report_of(2, 9, {1, 1, 1}), at(2)), verdict::stale);
}

TEST_F(membership_table_test, a_ghost_of_an_earlier_start_does_not_lead) {
  hear_all(0);
  EXPECT_TRUE(table.should_lead(at(1)));
  auto echo = report_of(0, 1, {2, 1, 1});
  echo.incarnation = 2;
  EXPECT_EQ(table.on_report(echo, at(1)), verdict::stale);
  EXPECT_EQ(table.newest_incarnation(0), 2u);
  EXPECT_FALSE(table.should_lead(at(1)));
}

TEST_F(membership_table_test, the_lowest_voter_with_a_majority_leads) {
  membership_table second(layout, timing, 1, 1, at(0));
  auto zero = report_of(0, 1, {1, 1, 1});
  zero.majority = true;
  second.on_report(report_of(2, 1, {1, 1, 1}), at(0));
  EXPECT_TRUE(second.should_lead(at(0))); // nothing heard of node 0
  second.on_report(zero, at(1));
  EXPECT_FALSE(second.should_lead(at(1)));
  zero.majority = false;
  zero.number = 2;
  second.on_report(zero, at(2));
  EXPECT_TRUE(second.should_lead(at(2)));
  zero.majority = true;
  zero.number = 3;
  zero.hears = {1, 0, 1}; // it has a majority without us; let the register decide
  second.on_report(zero, at(3));
  EXPECT_TRUE(second.should_lead(at(3)));
}

TEST_F(membership_table_test, who_is_present_leads_before_who_was_excluded) {
  cluster_state state;
  state.epoch = 5;
  state.members.resize(3);
  state.members[1] = {.incarnation = 1, .present = true};
  hear_all(0);
  table.agreed(state);
  auto present = report_of(1, 9, {1, 1, 1});
  present.epoch = 5;
  present.majority = true;
  table.on_report(present, at(1));
  EXPECT_FALSE(table.should_lead(at(1)));
  state.epoch = 4;
  state.members[0] = {.incarnation = 1, .present = true};
  table.agreed(state); // older, ignored
  EXPECT_FALSE(table.should_lead(at(1)));
  state.epoch = 6;
  table.agreed(state);
  EXPECT_TRUE(table.should_lead(at(1)));
}

TEST_F(membership_table_test, nobody_waits_for_one_who_knows_more_and_does_not_lead) {
  membership_table second(layout, timing, 1, 1, at(0));
  second.on_report(report_of(2, 1, {1, 1, 1}), at(0));
  auto zero = report_of(0, 1, {1, 1, 1});
  zero.majority = true;
  zero.epoch = 3;
  zero.leads = true;
  second.on_report(zero, at(1));
  EXPECT_FALSE(second.should_lead(at(1)));
  zero.number = 2;
  zero.leads = false;
  second.on_report(zero, at(2));
  EXPECT_TRUE(second.should_lead(at(2)));
}

TEST_F(membership_table_test, who_is_no_voter_never_leads) {
  membership_table third(cluster_of(3, 1), timing, 2, 1, at(0));
  third.on_report(report_of(0, 1, {1, 1, 1}), at(0));
  EXPECT_TRUE(third.has_majority(at(0)));
  EXPECT_FALSE(third.should_lead(at(0)));
}

TEST_F(membership_table_test, a_majority_that_lapsed_counts_anew) {
  EXPECT_FALSE(table.majority_since(at(0)).has_value());
  hear_all(100);
  hear_all(200);
  EXPECT_EQ(table.majority_since(at(250)), at(100));
  EXPECT_FALSE(table.majority_since(at(5000)).has_value());
  hear_all(6000);
  EXPECT_EQ(table.majority_since(at(6000)), at(6000));
  EXPECT_FALSE(view_of(table, report_of(0, 1, {0, 0, 0}), at(6000)).settled);
}

TEST_F(membership_table_test, the_view_has_who_is_connected_and_what_we_hear_now) {
  for (int64_t ms = 0; ms <= 1000; ms += 100) {
    ++number;
    table.on_report(report_of(1, number, {1, 1, 1}), at(ms));
    table.on_report(report_of(2, number, {0, 1, 1}), at(ms));
  }
  const auto view = view_of(table, report_of(0, 7, {0, 0, 0}), at(1000));
  EXPECT_EQ(view.self, 0u);
  EXPECT_TRUE(view.reports[1].has_value());
  EXPECT_FALSE(view.reports[2].has_value()); // it does not hear us
  EXPECT_EQ(view.reports[0]->number, 7u);
  EXPECT_EQ(view.reports[0]->hears, (std::vector<uint64_t>{1, 1, 1}));
  EXPECT_TRUE(view.settled);
  EXPECT_TRUE(view.formation_over);
  EXPECT_FALSE(view.fresh[1]);
}

TEST_F(membership_table_test, constant_restarting_does_not_stay_fresh_for_ever) {
  int aged = 0;
  for (uint64_t life = 1; life < 40; ++life) {
    auto r = report_of(1, 1, {1, life, 1});
    r.incarnation = life;
    table.on_report(r, at(static_cast<int64_t>(life) * 200));
    aged += !view_of(table, report_of(0, 1, {0, 0, 0}), at(int64_t(life) * 200 + 150)).fresh[1];
  }
  EXPECT_GT(aged, 5);
}

TEST(membership_single_test, a_single_voter_has_its_majority_from_the_start) {
  membership_table table(cluster_of(2, 1), {}, 0, 1, at(50));
  EXPECT_TRUE(table.should_lead(at(50)));
  EXPECT_EQ(table.majority_since(at(60)), at(50));
  EXPECT_FALSE(view_of(table, report_of(0, 1, {1, 0}), at(60)).formation_over);
  EXPECT_TRUE(view_of(table, report_of(0, 1, {1, 0}), at(1050)).formation_over);
}

// -- the leader's decision

class next_state_test : public testing::Test {
protected:
  next_state_test() {
    view.self = 0;
    for (node_index n = 0; n < 4; ++n) view.reports.push_back(report_of(n, 1, {1, 1, 1, 1}));
    current = decide().value().next;
    for (auto& r : view.reports) r->epoch = current.epoch;
  }

  std::optional<state_change> decide() { return next_state(view, layout, current, doors, now); }

  // Decides and checks what must hold of any change.
  cluster_state changed() {
    const auto change = decide();
    EXPECT_TRUE(change.has_value());
    if (!change) return current;
    EXPECT_EQ(change->next.epoch, current.epoch + 1);
    EXPECT_FALSE(change->why.empty());
    EXPECT_FALSE(next_state(view, layout, change->next, doors, now).has_value()) << change->why;
    why = change->why;
    return change->next;
  }

  void cut(node_index deaf, node_index mute) { view.reports[deaf]->hears[mute] = 0; }
  void lose(node_index node) { view.reports[node].reset(); }

  static std::vector<bool> present(const cluster_state& state) {
    std::vector<bool> out;
    for (const auto& m : state.members) out.push_back(m.present);
    return out;
  }

  cluster_layout layout = cluster_of(4, 3);
  cluster_timing timing;
  readmission doors{timing, 4};
  leader_view view;
  cluster_state current;
  time_point now = at(10'000);
  std::string why;
};

using bits = std::vector<bool>;

TEST_F(next_state_test, the_first_state_has_everybody) {
  EXPECT_EQ(current.epoch, 1u);
  EXPECT_EQ(current.kv_version, 1u);
  EXPECT_EQ(present(current), (bits{true, true, true, true}));
  EXPECT_TRUE(validate(current.where, layout, present(current)).ok());
  EXPECT_FALSE(decide().has_value());
}

TEST_F(next_state_test, the_first_state_waits_for_late_nodes_but_not_for_ever) {
  current = {};
  for (auto& r : view.reports) r->epoch = 0;
  lose(3);
  view.formation_over = false;
  EXPECT_FALSE(decide().has_value());
  view.formation_over = true;
  EXPECT_EQ(present(changed()), (bits{true, true, true, false}));
  lose(1);
  lose(2); // no majority of the voters
  EXPECT_FALSE(decide().has_value());
}

TEST_F(next_state_test, a_first_state_waits_until_newcomers_hear_each_other) {
  current = {};
  for (auto& r : view.reports) r->epoch = 0;
  view.formation_over = false;
  view.fresh = {false, true, true, true};
  cut(1, 2);
  EXPECT_FALSE(decide().has_value());
  view.reports[1]->hears[2] = 1;
  EXPECT_EQ(present(changed()), (bits{true, true, true, true}));
}

TEST_F(next_state_test, a_lost_node_goes_and_loses_its_roles) {
  lose(2);
  const auto next = changed();
  EXPECT_EQ(present(next), (bits{true, true, false, true}));
  EXPECT_TRUE(validate(next.where, layout, {true, true, false, true}).ok());
  EXPECT_EQ(why, "c is out");
  EXPECT_EQ(next.members[2].incarnation, 1u); // remembered
}

TEST_F(next_state_test, without_a_majority_of_the_voters_nothing_is_decided) {
  lose(1);
  lose(2);
  EXPECT_FALSE(decide().has_value());
}

TEST_F(next_state_test, a_leader_that_has_just_begun_excludes_nobody) {
  view.settled = false;
  lose(2);
  EXPECT_FALSE(decide().has_value());
  view.settled = true;
  EXPECT_TRUE(decide().has_value());
}

TEST_F(next_state_test, nothing_is_decided_on_an_older_state_or_an_older_report) {
  lose(2);
  view.reports[3]->epoch = current.epoch + 1;
  EXPECT_FALSE(decide().has_value());
  view.reports[3]->epoch = current.epoch;
  current.members[1].generation = 3; // the report at hand says 0
  EXPECT_FALSE(decide().has_value());
  current.members[1].generation = 0;
  current.members[3].incarnation = 2; // agreed on by somebody who has heard it
  EXPECT_FALSE(decide().has_value());
}

struct cut_row {
  const char* what;
  std::vector<std::pair<node_index, node_index>> cuts; // deaf, mute
  bits present;
};

TEST_F(next_state_test, members_hear_each_other) {
  const cut_row rows[] = {
      {"one way is as good as both", {{2, 3}}, {true, true, true, false}},
      {"the other way", {{3, 2}}, {true, true, true, false}},
      {"both ways", {{2, 3}, {3, 2}}, {true, true, true, false}},
      {"the one with most cuts goes", {{1, 2}, {1, 3}}, {true, false, true, true}},
      {"the leader stays", {{0, 1}, {0, 2}, {0, 3}}, {true, false, false, false}},
      {"ring of cuts", {{1, 2}, {2, 3}, {3, 1}}, {true, true, false, false}},
  };
  const auto whole = view;
  for (const auto& row : rows) {
    view = whole;
    for (const auto& [deaf, mute] : row.cuts) cut(deaf, mute);
    EXPECT_EQ(choose_members(view, layout, current), row.present) << row.what;
    EXPECT_EQ(present(changed()), row.present) << row.what;
  }
}

TEST_F(next_state_test, who_is_not_present_or_plays_no_role_goes_before_others) {
  lose(1);
  current = changed();
  current.where.sequencer = 0; // nodes 2 and 3 present, of which 2 is given no role
  current.where.stages = {0, 3};
  for (auto& copies : current.where.shards) copies = {0, 3};
  view.reports[1] = report_of(1, 1, {1, 1, 1, 1});
  cut(2, 3);
  EXPECT_EQ(choose_members(view, layout, current), (bits{true, true, false, true}));
  view.reports[2]->hears[3] = 1;
  cut(1, 3); // the newcomer has as many broken pairs as the member
  EXPECT_EQ(choose_members(view, layout, current), (bits{true, false, true, true}));
}

TEST_F(next_state_test, a_restarted_member_is_taken_over_in_place) {
  view.reports[3]->incarnation = 2;
  for (auto& r : view.reports) r->hears[3] = 2;
  const auto next = changed();
  EXPECT_EQ(why, "d has restarted");
  EXPECT_EQ(next.members[3].incarnation, 2u);
  EXPECT_TRUE(next.members[3].present);
}

TEST_F(next_state_test, a_restarted_member_is_given_time_to_be_heard) {
  view.reports[3]->incarnation = 2;
  view.reports[0]->hears[3] = 2;
  view.reports[3]->hears[1] = 0; // not yet
  view.fresh = {false, false, false, true};
  EXPECT_FALSE(decide().has_value());
  view.fresh[3] = false; // it never will be
  EXPECT_FALSE(present(changed())[3]);
}

TEST_F(next_state_test, a_newcomer_not_heard_by_all_does_not_push_others_out) {
  lose(3);
  current = changed();
  view.reports[3] = report_of(3, 1, {1, 0, 0, 1});
  view.fresh = {false, false, false, true};
  EXPECT_FALSE(decide().has_value());
  view.reports[3]->hears = {1, 1, 1, 1};
  EXPECT_TRUE(present(changed())[3]);
}

TEST_F(next_state_test, who_was_excluded_comes_back_when_its_door_opens) {
  lose(3);
  const auto out = changed();
  doors.observe(current, out, now);
  current = out;
  view.reports[3] = report_of(3, 9, {1, 1, 1, 1});
  EXPECT_FALSE(decide().has_value());
  now += timing.readmit_first;
  EXPECT_EQ(present(changed()), (bits{true, true, true, true}));
}

TEST_F(next_state_test, who_was_excluded_comes_back_at_once_when_nobody_else_can_serve) {
  lose(3);
  const auto out = changed();
  doors.observe(current, out, now);
  current = out;
  view.reports[3] = report_of(3, 9, {1, 1, 1, 1});
  for (node_index n = 0; n < 3; ++n) view.reports[n]->serving = false;
  EXPECT_TRUE(changed().members[3].serving);
}

TEST_F(next_state_test, who_restarts_again_and_again_is_put_out) {
  for (uint64_t life = 2; life < 4; ++life) {
    view.reports[3]->incarnation = life;
    for (auto& r : view.reports) r->hears[3] = life;
    const auto next = changed();
    EXPECT_EQ(next.members[3].present, life == 2);
    doors.observe(current, next, now);
    current = next;
    for (auto& r : view.reports) r->epoch = current.epoch;
  }
}

TEST_F(next_state_test, a_draining_node_stays_and_loses_its_roles) {
  view.reports[2]->draining = true;
  const auto next = changed();
  EXPECT_EQ(why, "c stops serving");
  EXPECT_TRUE(next.members[2].present);
  EXPECT_FALSE(next.members[2].serving);
  EXPECT_TRUE(roles_of(next.where, 2).empty());
}

TEST_F(next_state_test, where_all_drain_those_with_roles_and_streams_work_on) {
  for (auto& r : view.reports) r->draining = r->has_streams = true;
  EXPECT_FALSE(decide().has_value()); // as it is
  const node_index host = current.where.stages[0];
  view.reports[host]->has_streams = false;
  const auto next = changed();
  EXPECT_TRUE(roles_of(next.where, host).empty());
  EXPECT_TRUE(complete(next.where, layout));
  current = next;
  for (node_index n = 0; n < 4; ++n) view.reports[n]->has_streams = n == host;
  const auto back = changed(); // nobody else has any
  EXPECT_EQ(back.where.sequencer, host);
  current = back;
  view.reports[host]->has_streams = false;
  EXPECT_EQ(changed().where, placement{});
}

TEST_F(next_state_test, who_drains_gets_nothing_while_somebody_stays) {
  for (auto& r : view.reports) r->draining = r->has_streams = true;
  view.reports[3]->draining = false;
  const auto next = changed();
  EXPECT_EQ(next.where.sequencer, 3u);
  for (node_index n = 0; n < 3; ++n) EXPECT_TRUE(roles_of(next.where, n).empty());
  current = next;
  view.reports[3]->draining = true;
  EXPECT_FALSE(decide().has_value()); // it has the roles, and streams
}

TEST_F(next_state_test, a_failed_device_costs_the_roles_and_its_return_brings_some) {
  view.reports[0]->serving = false; // even the leader's
  const auto next = changed();
  EXPECT_TRUE(roles_of(next.where, 0).empty());
  current = next;
  view.reports[0]->serving = true;
  const auto back = changed();
  EXPECT_EQ(why, "a serves again");
  EXPECT_FALSE(roles_of(back.where, 0).empty());
}

TEST_F(next_state_test, nobody_serving_leaves_an_empty_placement) {
  for (auto& r : view.reports) r->serving = false;
  const auto next = changed();
  EXPECT_EQ(next.where, placement{});
  EXPECT_EQ(present(next), (bits{true, true, true, true}));
  current = next;
  view.reports[1]->serving = true;
  EXPECT_TRUE(complete(changed().where, layout));
}

TEST_F(next_state_test, a_new_generation_or_a_stuck_epoch_asks_for_a_new_epoch) {
  view.reports[1]->generation = 1;
  EXPECT_EQ(changed().members[1].generation, 1u);
  EXPECT_EQ(why, "b has restarted parts");
  view.reports[1]->generation = 0;
  view.reports[2]->epoch_stuck = current.epoch;
  EXPECT_EQ(changed().members, current.members);
  EXPECT_EQ(why, "c is stuck in epoch 1");
  view.reports[2]->epoch_stuck = current.epoch - 1;
  EXPECT_FALSE(decide().has_value());
}

TEST_F(next_state_test, the_kv_version_rises_exactly_when_pages_are_lost) {
  const uint64_t before = current.kv_version;
  const node_index host = current.where.stages[1];
  ASSERT_NE(host, 0u);
  view.reports[1]->generation = 1;
  EXPECT_EQ(changed().kv_version, before); // a part without pages
  view.reports[1]->stages_lost = 1;
  EXPECT_EQ(changed().kv_version, before + 1);
  view.reports[1] = report_of(1, 1, {1, 1, 1, 1});
  view.reports[host]->incarnation = 2;
  for (auto& r : view.reports) r->hears[host] = 2;
  EXPECT_EQ(changed().kv_version, before + 1); // the same host, another life
  view.reports[host]->draining = true;
  EXPECT_EQ(changed().kv_version, before + 1); // another host
}

TEST_F(next_state_test, losing_a_node_without_stages_keeps_the_pages) {
  const auto& stages = current.where.stages;
  for (node_index n = 1; n < 4; ++n) {
    if (std::find(stages.begin(), stages.end(), n) != stages.end()) continue;
    const auto whole = view;
    lose(n);
    EXPECT_EQ(changed().kv_version, current.kv_version);
    view = whole;
  }
}

// -- doors

TEST(difference_test, nodes_that_say_different_things_differ) {
  node_report one, other;
  EXPECT_EQ(difference_between(one, other), difference::none);
  one.model = one.layout = 5;
  EXPECT_EQ(difference_between(one, other), difference::none) << "it does not say";
  other.model = other.layout = 5;
  EXPECT_EQ(difference_between(one, other), difference::none);
  other.layout = 6;
  EXPECT_EQ(difference_between(one, other), difference::layout);
  other.model = 6;
  EXPECT_EQ(difference_between(other, one), difference::model);
}

TEST(difference_test, who_takes_part_in_nothing_yields) {
  node_report one, other;
  EXPECT_FALSE(must_yield(one, other));
  other.epoch_ready = 3;
  EXPECT_TRUE(must_yield(one, other));
  EXPECT_FALSE(must_yield(other, one));
  one.epoch_ready = 1;
  EXPECT_FALSE(must_yield(one, other));
}

TEST(readmission_test, every_exclusion_doubles_the_wait_up_to_the_maximum) {
  cluster_timing timing;
  timing.readmit_first = seconds(1);
  timing.readmit_max = seconds(5);
  readmission doors(timing, 2);
  EXPECT_TRUE(doors.allowed(1, at(0)));
  EXPECT_FALSE(doors.next(at(0)).has_value());
  int64_t now = 0;
  for (const int64_t wait : {1000, 2000, 4000, 5000, 5000}) {
    doors.excluded(1, at(now));
    EXPECT_TRUE(doors.allowed(0, at(now)));
    EXPECT_FALSE(doors.allowed(1, at(now + wait - 1)));
    EXPECT_TRUE(doors.allowed(1, at(now + wait)));
    EXPECT_EQ(doors.next(at(now)), at(now + wait));
    now += wait;
  }
  doors.settled(1, at(now + 4999)); // not yet forgiven
  doors.excluded(1, at(now + 4999));
  EXPECT_FALSE(doors.allowed(1, at(now + 9998)));
  doors.settled(1, at(now + 20'000));
  doors.excluded(1, at(now + 20'000));
  EXPECT_TRUE(doors.allowed(1, at(now + 21'000)));
}

TEST(readmission_test, agreed_states_tell_who_was_excluded) {
  readmission doors({}, 3);
  cluster_state before;
  before.members.resize(3);
  for (auto& m : before.members) m = {.incarnation = 1, .present = true, .serving = true};
  auto after = before;
  after.members[1].present = false;
  after.members[2].incarnation = 2;
  doors.observe(before, after, at(0));
  EXPECT_TRUE(doors.allowed(0, at(1)));
  EXPECT_FALSE(doors.allowed(1, at(1)));
  EXPECT_FALSE(doors.allowed(2, at(1)));
  doors.observe({}, before, at(2)); // the first state excludes nobody
  EXPECT_TRUE(doors.allowed(0, at(3)));
}

// -- what a placement goes by

TEST_F(next_state_test, a_node_that_is_too_small_gets_nothing) {
  layout.bytes = {.sequencer = 10,
                  .stages = std::vector<uint64_t>(layout.stages, 100),
                  .shards = std::vector<uint64_t>(layout.shards, 50)};
  current = {};
  for (auto& r : view.reports) r->epoch = 0;
  view.reports[2]->memory = 9;
  const auto next = changed();
  EXPECT_TRUE(complete(next.where, layout));
  EXPECT_TRUE(roles_of(next.where, 2).empty());
}

TEST_F(next_state_test, where_nobody_has_room_the_state_says_why_and_waits) {
  layout.bytes = {.sequencer = 10,
                  .stages = std::vector<uint64_t>(layout.stages, 100),
                  .shards = std::vector<uint64_t>(layout.shards, 50)};
  current = {};
  for (auto& r : view.reports) {
    r->epoch = 0;
    r->memory = 60;
  }
  const auto change = decide();
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->next.where, placement{});
  EXPECT_NE(change->no_room.find("bytes are missing"), std::string::npos) << change->no_room;
  current = change->next;
  for (auto& r : view.reports) r->epoch = current.epoch;
  EXPECT_FALSE(decide().has_value());
  view.reports[1]->incarnation = 2; // starts again, and has more
  for (auto& r : view.reports) r->hears[1] = 2;
  view.reports[1]->memory = 5000;
  EXPECT_TRUE(complete(changed().where, layout));
}

class load_decides_test : public next_state_test {
protected:
  load_decides_test() {
    layout.shard_copies = 1;
    layout.shard_copies_max = 3;
    current = {};
    for (auto& r : view.reports) r->epoch = 0;
    current = decide().value().next;
    for (auto& r : view.reports) r->epoch = r->epoch_ready = current.epoch;
    view.reports[1]->shard_rows.assign(layout.shards, 10);
    view.reports[1]->shard_rows[0] = 50'000;
  }
  std::optional<state_change> by_load() {
    return next_state(view, layout, current, doors, now, true);
  }
};

TEST_F(load_decides_test, one_role_changes_when_it_may) {
  EXPECT_FALSE(decide().has_value());
  const auto change = by_load();
  ASSERT_TRUE(change.has_value());
  EXPECT_TRUE(change->by_load);
  EXPECT_EQ(change->next.epoch, current.epoch + 1);
  EXPECT_EQ(change->next.kv_version, current.kv_version);
  EXPECT_EQ(change->next.members, current.members);
  EXPECT_EQ(change->next.where.stages, current.where.stages);
  EXPECT_NE(change->next.where, current.where);
  EXPECT_TRUE(validate(change->next.where, layout, {true, true, true, true}).ok());
}

TEST_F(load_decides_test, not_before_everybody_works_by_the_present_state) {
  view.reports[3]->epoch_ready = current.epoch - 1;
  EXPECT_FALSE(by_load().has_value());
}

TEST_F(load_decides_test, another_reason_comes_first) {
  lose(3);
  const auto change = by_load();
  ASSERT_TRUE(change.has_value());
  EXPECT_FALSE(change->by_load);
}

TEST(rebalance_pause_test, counts_from_the_last_epoch_and_may_be_for_ever) {
  cluster_timing timing;
  timing.rebalance_every = std::chrono::seconds(60);
  rebalance_pause pause(timing);
  EXPECT_FALSE(pause.over(at(100'000))); // no epoch yet
  pause.observe(at(1000));
  EXPECT_FALSE(pause.over(at(60'999)));
  EXPECT_TRUE(pause.over(at(61'000)));
  timing.rebalance_every = duration(0);
  rebalance_pause never(timing);
  never.observe(at(0));
  EXPECT_FALSE(never.over(at(1'000'000'000)));
}

} // namespace
} // namespace troupe::dataflow
