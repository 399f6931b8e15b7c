// A seed means the same faults whatever stands beside them in the scenario.
#include "simulations/faults/expansion.hpp"

#include "simulations/faults/catalogue.hpp"
#include "simulations/faults/plan_text.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <set>

namespace troupe::simulations {
namespace {

using std::chrono::milliseconds;

scenario with(std::vector<antagonist> antagonists) {
  scenario out;
  out.antagonists = std::move(antagonists);
  return out;
}

bool contains(const fault_plan& plan, const fault& what) {
  return std::find(plan.faults.begin(), plan.faults.end(), what) != plan.faults.end();
}

TEST(expansion, the_same_seed_gives_the_same_plan_and_another_one_another) {
  const scenario what = with({{.id = "F03", .count_min = 1, .count_max = 5}, {.id = "F24"}});
  EXPECT_EQ(expand(what, 5), expand(what, 5));
  std::set<std::string> plans;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::string text;
    for (const auto& each : expand(what, seed).faults) text += describe(each);
    plans.insert(text);
  }
  EXPECT_GE(plans.size(), 49u);
}

TEST(expansion, taking_an_antagonist_away_leaves_the_faults_of_the_others) {
  std::vector<antagonist> all;
  for (const auto& entry : fault_catalogue())
    if (entry.implemented()) all.push_back({.id = std::string(entry.id), .count_max = 3});
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const fault_plan whole = expand(with(all), seed);
    for (size_t left_out = 0; left_out < all.size(); ++left_out) {
      auto fewer = all;
      fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(left_out));
      for (const auto& each : expand(with(fewer), seed).faults)
        ASSERT_TRUE(contains(whole, each)) << describe(each) << " without " << all[left_out].id;
    }
  }
}

TEST(expansion, a_larger_count_keeps_the_faults_of_a_smaller_one) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto few = expand(with({{.id = "F21", .count_min = 2, .count_max = 2}}), seed);
    const auto many = expand(with({{.id = "F21", .count_min = 9, .count_max = 9}}), seed);
    ASSERT_EQ(few.faults.size(), 2u);
    ASSERT_EQ(many.faults.size(), 9u);
    for (const auto& each : few.faults) EXPECT_TRUE(contains(many, each));
  }
}

TEST(expansion, two_antagonists_of_one_kind_draw_apart) {
  const auto plan = expand(with({{.id = "F03"}, {.id = "F03"}}), 3);
  ASSERT_EQ(plan.faults.size(), 2u);
  EXPECT_NE(plan.faults[0], plan.faults[1]);
}

TEST(expansion, draws_stay_in_their_ranges_and_reach_their_ends) {
  antagonist a{.id = "F21", .count_min = 2, .count_max = 4};
  a.from = milliseconds(10);
  a.until = milliseconds(12);
  a.lasts_min = milliseconds(5);
  a.lasts_max = milliseconds(6);
  a.settings["loss_ppm"] = {7, 9};
  std::set<int64_t> losses;
  std::set<size_t> counts;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto plan = expand(with({a}), seed);
    counts.insert(plan.faults.size());
    for (const auto& each : plan.faults) {
      EXPECT_GE(each.when.at, a.from);
      EXPECT_LE(each.when.at, a.until);
      EXPECT_GE(each.lasts, a.lasts_min);
      EXPECT_LE(each.lasts, a.lasts_max);
      EXPECT_LT(each.node, 5u);
      losses.insert(each.settings.at("loss_ppm"));
    }
  }
  EXPECT_EQ(losses, (std::set<int64_t>{7, 8, 9}));
  EXPECT_EQ(counts, (std::set<size_t>{2, 3, 4}));
}

TEST(expansion, percent_is_the_share_of_the_seeds) {
  antagonist a{.id = "F03", .percent = 30};
  size_t present = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) present += expand(with({a}), seed).faults.size();
  EXPECT_NEAR(double(present), 300, 60);
  a.percent = 0;
  EXPECT_TRUE(expand(with({a}), 1).faults.empty());
}

TEST(expansion, targets_are_nodes_where_they_can_be_and_roles_where_not) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_EQ(expand(with({{.id = "F03", .target = "4"}}), seed).faults[0].node, 4u);
    EXPECT_LT(expand(with({{.id = "F03", .target = "voter"}}), seed).faults[0].node, 3u);
    const auto leader = expand(with({{.id = "F03", .target = "leader"}}), seed).faults[0];
    EXPECT_EQ(leader.target, "leader");
    EXPECT_EQ(expand(with({{.id = "F71"}}), seed).faults[0].target, "leader") << "by its nature";
    EXPECT_EQ(expand(with({{.id = "F71", .target = "2"}}), seed).faults[0].target, "");
  }
}

TEST(expansion, peers_are_others_and_given_only_where_they_mean_something) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const auto pair = expand(with({{.id = "F26"}}), seed).faults[0];
    ASSERT_TRUE(pair.peer.has_value());
    EXPECT_NE(*pair.peer, pair.node);
    const auto links = expand(with({{.id = "F21"}}), seed).faults[0];
    EXPECT_EQ(links.peer.has_value(), links.settings.at("scope") <= 1);
    EXPECT_FALSE(expand(with({{.id = "F03"}}), seed).faults[0].peer.has_value());
  }
}

TEST(expansion, partitions_have_two_sides_and_that_of_the_target) {
  std::set<int> sizes;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const auto mask =
        static_cast<uint64_t>(expand(with({{.id = "F24"}}), seed).faults[0].settings.at("mask"));
    EXPECT_NE(mask, 0u);
    EXPECT_LT(mask, 31u) << "all five nodes on one side";
    sizes.insert(std::popcount(mask));
    const auto aimed = expand(with({{.id = "F24", .target = "3"}}), seed).faults[0];
    EXPECT_TRUE((aimed.settings.at("mask") >> 3) & 1);
    EXPECT_EQ(expand(with({{.id = "F24", .target = "leader"}}), seed).faults[0].settings.at("mask"),
              0);
  }
  EXPECT_EQ(sizes, (std::set<int>{1, 2, 3, 4}));
}

TEST(expansion, probes_replace_times) {
  antagonist a{.id = "F03", .probe = "step.done"};
  a.nth_max = 4;
  std::set<uint64_t> hits;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const auto one = expand(with({a}), seed).faults[0];
    EXPECT_EQ(one.when.probe, "step.done");
    EXPECT_EQ(one.when.at, duration{});
    hits.insert(one.when.nth);
  }
  EXPECT_EQ(hits, (std::set<uint64_t>{1, 2, 3, 4}));
  std::set<std::string> own;
  for (uint64_t seed = 0; seed < 200; ++seed)
    own.insert(expand(with({{.id = "F70"}}), seed).faults[0].when.probe);
  EXPECT_GE(own.size(), 6u) << "F70 knows the steps of the protocol";
}

TEST(expansion, plans_are_in_order_of_time) {
  const auto plan = expand(with({{.id = "F03", .count_min = 6, .count_max = 6},
                                 {.id = "F70"},
                                 {.id = "F07", .count_min = 6, .count_max = 6}}),
                           9);
  for (size_t i = 1; i + 1 < plan.faults.size(); ++i)
    EXPECT_LE(plan.faults[i - 1].when.at, plan.faults[i].when.at);
  EXPECT_EQ(plan.faults.back().id, "F70") << "those that wait for a probe come last";
}

TEST(expansion, works_for_a_single_node) {
  scenario what;
  what.cluster = {.nodes = 1, .voters = 1};
  for (const auto& entry : fault_catalogue())
    if (entry.implemented()) what.antagonists.push_back({.id = std::string(entry.id)});
  for (uint64_t seed = 0; seed < 20; ++seed)
    for (const auto& each : expand(what, seed).faults)
      EXPECT_TRUE(each.node == 0 || !each.target.empty()) << describe(each);
}

} // namespace
} // namespace troupe::simulations
