// Who reaches for the lease of a store, who gives it up, and who ends that of a leader that is
// gone.
#include "dataflow/lease_rules.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

using std::chrono::milliseconds;
using step = lease_keeper::step;

constexpr uint32_t nodes = 3;
constexpr node_index self = 0;
constexpr duration allowance = milliseconds(500);

time_point at(int64_t ms) {
  return time_point{} + std::chrono::hours(1) + milliseconds(ms);
}

// Every node in `hearing` hears all of `heard`; incarnation of node n: 10 + n.
leader_view view_of(std::vector<node_index> hearing, std::vector<node_index> heard) {
  leader_view out{.self = self, .reports = {}, .fresh = {}};
  out.reports.resize(nodes);
  std::vector<uint64_t> hears(nodes, 0);
  for (const auto n : heard) hears[n] = 10 + n;
  for (const auto n : hearing) {
    node_report report;
    report.node = n;
    report.incarnation = 10 + n;
    report.hears = hears;
    report.hears[n] = 10 + n;
    out.reports[n] = report;
  }
  return out;
}

cluster_state state_of(std::vector<node_index> present) {
  cluster_state out;
  out.epoch = 5;
  out.members.resize(nodes);
  for (const auto n : present) {
    out.members[n].present = true;
    out.members[n].incarnation = 10 + n;
  }
  return out;
}

lease_holder holder(node_index node, uint64_t incarnation) {
  return {node, incarnation, 77};
}

constexpr lease_outlook good{
    .may_lead = true, .in_touch = true, .preferred = true, .holder_gone = false};

class lease_keeper_test : public ::testing::Test {
protected:
  // As an actor that looks ten times a second; what it last wanted.
  step run_to(int64_t until_ms, const lease_outlook& outlook) {
    step last = step::wait;
    for (; now < until_ms; now += 50) last = keeper.next(outlook, at(now));
    return last;
  }
  void lead() {
    keeper.seen({}, at(now));
    keeper.campaigned(holder(self, 10), true, at(now), at(now));
  }

  lease_timing timing;
  lease_keeper keeper{timing, allowance, self, 10, at(0)};
  int64_t now = 0;
};

// -- how a node stands

TEST(lease_outlook_test, half_of_those_present_are_in_touch) {
  const auto all = state_of({0, 1, 2});
  EXPECT_TRUE(look_around(view_of({0, 1, 2}, {0, 1, 2}), true, all, {}).in_touch);
  EXPECT_TRUE(look_around(view_of({0, 1}, {0, 1}), true, all, {}).in_touch);
  EXPECT_FALSE(look_around(view_of({0}, {0}), true, all, {}).in_touch);
  EXPECT_TRUE(look_around(view_of({0}, {0}), true, state_of({0, 1}), {}).in_touch);
  EXPECT_TRUE(look_around(view_of({0}, {0}), true, cluster_state{}, {}).in_touch);
  EXPECT_FALSE(look_around(leader_view{}, true, all, {}).may_lead); // nothing is known yet
}

TEST(lease_outlook_test, who_is_present_goes_before_who_is_not) {
  const auto view = view_of({0, 1}, {0, 1});
  EXPECT_TRUE(look_around(view, true, state_of({0, 1}), {}).preferred);
  EXPECT_FALSE(look_around(view, true, state_of({1, 2}), {}).preferred);
  EXPECT_TRUE(look_around(view, true, state_of({2}), {}).preferred); // nobody about is present
  EXPECT_TRUE(look_around(view, true, cluster_state{}, {}).preferred);
}

TEST(lease_outlook_test, a_leader_is_gone_when_nobody_about_hears_it) {
  const auto all = state_of({0, 1, 2});
  EXPECT_TRUE(look_around(view_of({0, 1}, {0, 1}), true, all, holder(2, 12)).holder_gone);
  EXPECT_FALSE(look_around(view_of({0, 1}, {0, 1, 2}), true, all, holder(2, 12)).holder_gone);
  EXPECT_FALSE(look_around(view_of({0}, {0}), true, all, holder(2, 12)).holder_gone); // or we are
  EXPECT_FALSE(
      look_around(view_of({0, 1}, {0, 1}), true, all, holder(no_node, 12)).holder_gone); // stranger
  EXPECT_FALSE(
      look_around(view_of({0, 1}, {0, 1}), true, state_of({1, 2}), holder(2, 12)).holder_gone);
  auto early = view_of({0, 1}, {0, 1});
  early.settled = false;
  EXPECT_FALSE(look_around(early, true, all, holder(2, 12)).holder_gone);
}

TEST(lease_outlook_test, a_leader_that_has_restarted_is_gone) {
  auto view = view_of({0, 1}, {0, 1});
  view.settled = false;
  view.reports[1]->hears[2] = 13;
  EXPECT_TRUE(look_around(view, true, state_of({0, 1, 2}), holder(2, 12)).holder_gone);
  EXPECT_TRUE(look_around(view, true, cluster_state{}, holder(0, 9)).holder_gone); // ourselves
}

// -- from following to leading

TEST_F(lease_keeper_test, reads_first_and_then_reaches_for_a_lease_that_nobody_has) {
  EXPECT_EQ(keeper.next(good, at(0)), step::read);
  keeper.seen({}, at(1));
  EXPECT_EQ(keeper.next(good, at(2)), step::campaign);
  keeper.campaigned(holder(self, 10), true, at(2), at(9));
  EXPECT_TRUE(keeper.leads(at(9)));
  EXPECT_FALSE(keeper.may_decide(at(9))); // it may have been started a moment ago
  EXPECT_TRUE(keeper.may_decide(at(500)));
}

TEST_F(lease_keeper_test, who_came_too_late_follows_and_reads_now_and_then) {
  keeper.seen({}, at(0));
  keeper.campaigned(holder(1, 11), true, at(0), at(5));
  EXPECT_FALSE(keeper.leads(at(5)));
  EXPECT_EQ(keeper.next(good, at(10)), step::wait);
  EXPECT_EQ(keeper.next(good, at(204)), step::wait);
  EXPECT_EQ(keeper.next(good, at(205)), step::read);
}

TEST_F(lease_keeper_test, a_node_in_a_bad_place_leaves_the_lead_to_others_for_a_while) {
  for (const auto& bad :
       {lease_outlook{.may_lead = true, .in_touch = false, .preferred = true, .holder_gone = false},
        lease_outlook{
            .may_lead = true, .in_touch = true, .preferred = false, .holder_gone = false}}) {
    lease_keeper one(timing, allowance, self, 10, at(0));
    one.seen({}, at(0));
    for (int64_t ms = 0; ms < 1000; ms += 100) {
      EXPECT_NE(one.next(bad, at(ms)), step::campaign) << ms;
      one.seen({}, at(ms));
    }
    EXPECT_EQ(one.next(bad, at(1000)), step::campaign);
  }
}

TEST_F(lease_keeper_test, a_ghost_never_leads) {
  auto ghost = good;
  ghost.may_lead = false;
  ghost.holder_gone = true;
  keeper.seen({}, at(0));
  EXPECT_EQ(keeper.next(ghost, at(0)), step::wait);
  EXPECT_EQ(run_to(5000, ghost), step::read);
  keeper.seen(holder(1, 11), at(now));
  EXPECT_EQ(keeper.next(ghost, at(now)), step::wait);
  lead();
  EXPECT_EQ(keeper.next(ghost, at(now)), step::end);
}

TEST_F(lease_keeper_test, the_lease_of_a_leader_that_is_gone_is_ended_and_taken) {
  auto gone = good;
  gone.holder_gone = true;
  keeper.seen(holder(1, 11), at(0));
  EXPECT_EQ(keeper.next(gone, at(100)), step::wait); // we may have slept
  run_to(500, good);
  keeper.seen(holder(1, 11), at(500));
  EXPECT_EQ(keeper.next(gone, at(510)), step::end);
  EXPECT_EQ(keeper.lease(), 77u);
  keeper.ended(at(511));
  EXPECT_EQ(keeper.next(good, at(512)), step::read);
  keeper.seen({}, at(513));
  EXPECT_EQ(keeper.next(good, at(514)), step::campaign);
}

TEST_F(lease_keeper_test, after_a_gap_of_its_own_a_node_trusts_nothing_it_does_not_hear) {
  auto gone = good;
  gone.holder_gone = true;
  run_to(600, good);
  keeper.seen(holder(1, 11), at(600));
  now = 1600; // it was stopped for a second
  EXPECT_EQ(keeper.next(gone, at(now)), step::read);
  keeper.seen(holder(1, 11), at(now));
  EXPECT_EQ(keeper.next(gone, at(now + 10)), step::wait);
  EXPECT_EQ(run_to(2200, gone), step::end);
}

TEST_F(lease_keeper_test, a_lease_of_its_own_that_it_does_not_know_to_hold_is_ended) {
  keeper.seen(holder(self, 10), at(0));
  EXPECT_FALSE(keeper.leads(at(0)));
  EXPECT_EQ(keeper.next(good, at(1)), step::end);
}

// -- leading

TEST_F(lease_keeper_test, keeps_its_lease_twice_a_second) {
  lead();
  EXPECT_EQ(keeper.next(good, at(499)), step::wait);
  EXPECT_EQ(keeper.next(good, at(500)), step::keep);
  keeper.kept(at(500));
  EXPECT_EQ(keeper.next(good, at(520)), step::wait);
  EXPECT_TRUE(keeper.leads(at(2299)));
  EXPECT_FALSE(keeper.leads(at(2300))); // 200 ms before the store may give it away
}

TEST_F(lease_keeper_test, leads_no_longer_when_the_store_is_silent_and_again_when_it_knows_us) {
  lead();
  for (now = 500; now < 3000; now += 50)
    if (keeper.next(good, at(now)) == step::keep) keeper.failed(at(now));
  EXPECT_FALSE(keeper.leads(at(1800)));
  EXPECT_EQ(keeper.next(good, at(3200)), step::keep);
  keeper.kept(at(3200)); // the same lease: nobody has led in between
  EXPECT_TRUE(keeper.leads(at(3201)));
  EXPECT_FALSE(keeper.may_decide(at(3201)));
  EXPECT_EQ(keeper.next(good, at(3202)), step::read);
  keeper.seen(holder(self, 10), at(3203));
  EXPECT_TRUE(keeper.may_decide(at(3204)));
}

TEST_F(lease_keeper_test, a_lease_that_has_ended_is_no_lead) {
  lead();
  keeper.ended(at(500));
  EXPECT_FALSE(keeper.leads(at(500)));
  EXPECT_EQ(keeper.next(good, at(501)), step::read);
  keeper.seen(holder(2, 12), at(502));
  EXPECT_EQ(keeper.next(good, at(503)), step::wait);
}

TEST_F(lease_keeper_test, another_in_its_place_ends_its_lead_at_once) {
  lead();
  keeper.seen(holder(2, 12), at(100));
  EXPECT_FALSE(keeper.leads(at(100)));
}

TEST_F(lease_keeper_test, who_loses_touch_gives_the_lead_to_others_unless_there_are_none) {
  auto alone = good;
  alone.in_touch = false;
  lead();
  run_to(600, good);
  keeper.kept(at(600));
  EXPECT_EQ(keeper.next(alone, at(610)), step::end);
  keeper.ended(at(620));
  EXPECT_EQ(keeper.next(alone, at(630)), step::read);
  keeper.seen({}, at(640));
  EXPECT_EQ(keeper.next(alone, at(700)), step::wait);
  now = 800;
  for (; now < 1620; now += 100) {
    EXPECT_NE(keeper.next(alone, at(now)), step::campaign) << now;
    keeper.seen({}, at(now));
  }
  EXPECT_EQ(keeper.next(alone, at(1620)), step::campaign);
  keeper.campaigned(holder(self, 10), false, at(1620), at(1630));
  EXPECT_EQ(keeper.next(alone, at(1700)), step::wait); // there is nobody better
  EXPECT_EQ(keeper.next(good, at(1800)), step::wait);
  EXPECT_EQ(keeper.next(alone, at(1900)), step::end);
}

TEST_F(lease_keeper_test, waits_a_little_when_the_store_does_not_answer) {
  EXPECT_EQ(keeper.next(good, at(0)), step::read);
  keeper.failed(at(5));
  EXPECT_EQ(keeper.next(good, at(254)), step::wait);
  EXPECT_EQ(keeper.next(good, at(255)), step::read);
}

TEST(lease_timing_test, what_cannot_work_is_refused) {
  EXPECT_TRUE(validate(lease_timing{}).ok());
  EXPECT_FALSE(validate(lease_timing{.term = milliseconds(1500)}).ok());
  EXPECT_FALSE(validate(lease_timing{.term = milliseconds(0)}).ok());
  EXPECT_FALSE(validate(lease_timing{.keep_every = milliseconds(1800)}).ok());
  EXPECT_FALSE(validate(lease_timing{.keep_every = milliseconds(0)}).ok());
  EXPECT_FALSE(validate(lease_timing{.read_every = milliseconds(0)}).ok());
}

} // namespace
} // namespace troupe::dataflow
