// Scenarios read and written, their mistakes, and the ones that are built in.
#include "simulations/faults/scenario.hpp"

#include "simulations/faults/catalogue.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe::simulations {
namespace {

using std::chrono::milliseconds;

std::string refusal(std::string_view text) {
  const auto parsed = parse_scenario(text, "x.toml");
  return parsed ? "was accepted" : parsed.error().why();
}

TEST(scenario, an_empty_text_is_all_defaults) {
  const auto parsed = parse_scenario("", "x.toml");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().why();
  EXPECT_EQ(*parsed, scenario{});
}

TEST(scenario, every_key_is_read) {
  const auto parsed = parse_scenario(R"(
name = "full"
about = "a line"
[cluster]
nodes = 7
voters = 5
doors = 2
[workload]
requests = 3
over = "1.5s"
patience = "250ms"
[expect]
explicit_errors = true
survivable = false
fails_with = "M6"
settle = "4s"
core_only = true
[[antagonist]]
id = "F03"
count = [1, 4]
from = "10ms"
until = "20ms"
target = "leader"
lasts = ["1ms", "2ms"]
percent = 40
settings = { restart_after_ms = [5, 6] }
[[antagonist]]
id = "F24"
probe = "epoch.go"
nth_max = 3
target = 6
count = 2
lasts = "1s"
settings = { mask = 5 }
)",
                                     "x.toml");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().why();
  EXPECT_EQ(parsed->cluster.nodes, 7u);
  EXPECT_EQ(parsed->workload.over, milliseconds(1500));
  EXPECT_EQ(parsed->expect.fails_with, "M6");
  EXPECT_TRUE(parsed->expect.core_only);
  ASSERT_EQ(parsed->antagonists.size(), 2u);
  EXPECT_EQ(parsed->antagonists[0].count_max, 4u);
  EXPECT_EQ(parsed->antagonists[0].settings.at("restart_after_ms"),
            (std::pair<int64_t, int64_t>{5, 6}));
  EXPECT_EQ(parsed->antagonists[0].percent, 40u);
  EXPECT_EQ(parsed->antagonists[1].target, "6");
  EXPECT_EQ(parsed->antagonists[1].lasts_min, milliseconds(1000));
  EXPECT_EQ(parsed->antagonists[1].count_min, 2u);
}

TEST(scenario, what_is_written_reads_back_to_the_same) {
  scenario odd;
  odd.name = "with \"quotes\"";
  odd.about = "and\nlines";
  odd.cluster = {.nodes = 9,
                 .voters = 7,
                 .stages = 3,
                 .shards = 8,
                 .shard_copies = 3,
                 .shard_copies_max = 5,
                 .node_speeds = {4, 1, 9},
                 .doors = 4,
                 .sequences_max = 5,
                 .queue_max = 6};
  odd.workload.over = duration(1'234'567);
  odd.workload.answer_tokens_min = 12;
  odd.expect.fails_with = "unavailable";
  antagonist a;
  a.id = "F60";
  a.settings["drift_ppm"] = {-300, 400};
  a.lasts_min = duration(1);
  a.lasts_max = milliseconds(7);
  a.target = "3";
  odd.antagonists = {a, antagonist{.id = "F03"}};
  const std::string text = write_scenario(odd);
  const auto parsed = parse_scenario(text, "x.toml");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().why() << "\n" << text;
  EXPECT_EQ(*parsed, odd);
  EXPECT_EQ(write_scenario(*parsed), text);
}

TEST(scenario, mistakes_name_place_key_and_what_is_right) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"nmae = \"x\"", "x.toml:1:1: nmae is no setting; did you mean name?"},
      {"[cluster]\nnode = 3", "x.toml:2:1: cluster.node is no setting; did you mean nodes?"},
      {"[cluster]\nnodes = 65", "x.toml:2:1: cluster.nodes is 65, must be 1 to 64"},
      {"[cluster]\nnodes = 0", "x.toml:2:1: cluster.nodes is 0, must be 1 to 64"},
      {"[cluster]\nvoters = 4", "x.toml:2:1: cluster.voters is 4, must be odd"},
      {"[cluster]\nvoters = 7", "x.toml:2:1: cluster.voters is 7, more than cluster.nodes (5)"},
      {"[cluster]\nshard_copies_max = 1",
       "x.toml:2:1: cluster.shard_copies_max is 1, must be 0 or at least shard_copies (2)"},
      {"[cluster]\nnode_speeds = [1, 0]",
       "x.toml:2:19: node_speeds must hold whole numbers from 1 to 1024"},
      {"[cluster]\ndoors = 6", "x.toml:2:1: cluster.doors is 6, more than cluster.nodes (5)"},
      {"[cluster]\nkv_pages = 15",
       "x.toml:2:1: cluster.kv_pages is 15, must be 0 or hold one sequence, which takes 16"},
      {"[workload]\nover = 3",
       "x.toml:2:1: workload.over must be a duration in quotes, such as \"300ms\""},
      {"[workload]\nover = \"3x\"",
       "x.toml:2:1: workload.over: '3x' is no duration such as \"300ms\", \"1.5s\" or \"2s\""},
      {"[workload]\ncancel_percent = 101",
       "x.toml:2:1: workload.cancel_percent is 101, must be 0 to 100"},
      {"[workload]\nprompt_tokens_min = 30",
       "x.toml:2:1: workload.prompt_tokens_min is above prompt_tokens_max"},
      {"[expect]\nsurvivable = 1", "x.toml:2:1: expect.survivable must be true or false"},
      {"[expect]\nfails_with = \"S99\"",
       "x.toml:2:1: expect.fails_with is 'S99', must be an invariant such as \"M6\" or a status "
       "such as \"unavailable\""},
      {"[[antagonist]]\ncount = 1",
       "x.toml:1:1: an antagonist needs the id of a fault, such as id = \"F03\""},
      {"[[antagonist]]\nid = \"F99\"",
       "x.toml:2:1: 'F99' is no fault of the catalogue; did you mean F09?"},
      {"[[antagonist]]\nid = \"F03\"\ntarget = \"leder\"",
       "x.toml:3:1: target must be any, leader, voter, sequencer, stage, shard, door, idle or the "
       "number of a node; did you mean leader?"},
      {"[[antagonist]]\nid = \"F03\"\ntarget = 5",
       "x.toml:3:1: target is node 5; nodes are 0 to 4"},
      {"[[antagonist]]\nid = \"F03\"\ncount = [3, 1]",
       "x.toml:3:1: count: the least is more than the most"},
      {"[[antagonist]]\nid = \"F03\"\ncount = [1]",
       "x.toml:3:1: count must be one value, or a list of least and most"},
      {"[[antagonist]]\nid = \"F03\"\nfrom = \"3s\"", "x.toml:3:1: from is later than until"},
      {"[[antagonist]]\nid = \"F21\"\nsettings = { los_ppm = 3 }",
       "x.toml:3:14: settings of F21.los_ppm is no setting; did you mean loss_ppm?"},
      {"[[antagonist]]\nid = \"F21\"\nsettings = { loss_ppm = 1000001 }",
       "x.toml:3:14: loss_ppm must lie within 0 and 1000000"},
  };
  for (const auto& [text, why] : cases) EXPECT_EQ(refusal(text), why) << text;
}

TEST(scenario, faults_that_cannot_be_injected_are_refused_with_the_reason) {
  const std::string why = refusal("[[antagonist]]\nid = \"F47\"");
  EXPECT_NE(why.find("F47 (unordered_reduction) cannot be injected: "), std::string::npos) << why;
}

TEST(built_in_scenarios, are_sorted_and_correct_and_say_what_they_are) {
  const auto& all = built_in_scenarios();
  EXPECT_GE(all.size(), 20u);
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_TRUE(i == 0 || all[i - 1].name < all[i].name) << all[i].name;
    const auto parsed = parse_scenario(all[i].text, all[i].name);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().why();
    EXPECT_EQ(parsed->name, all[i].name);
    EXPECT_GE(parsed->about.size(), 10u) << all[i].name;
    const auto again = parse_scenario(write_scenario(*parsed), "again");
    ASSERT_TRUE(again.has_value()) << again.error().why();
    EXPECT_EQ(*again, *parsed);
  }
}

TEST(built_in_scenarios, cover_every_fault_that_can_be_injected) {
  std::set<std::string> used;
  for (const auto& each : built_in_scenarios()) {
    const auto parsed = parse_scenario(each.text, each.name);
    ASSERT_TRUE(parsed.has_value());
    for (const auto& a : parsed->antagonists) used.insert(a.id);
  }
  for (const auto& entry : fault_catalogue())
    EXPECT_EQ(used.contains(std::string(entry.id)), entry.implemented()) << entry.id;
}

} // namespace
} // namespace troupe::simulations
