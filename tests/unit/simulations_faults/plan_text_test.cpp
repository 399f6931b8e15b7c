// Plans as files: round trips and mistakes.
#include "simulations/faults/plan_text.hpp"

#include "simulations/faults/expansion.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations {
namespace {

using std::chrono::milliseconds;

plan_file plan_for(const built_in_scenario& what, uint64_t seed) {
  plan_file out;
  out.about = *parse_scenario(what.text, what.name);
  out.seed = seed;
  out.plan = expand(out.about, seed);
  out.strategy.kind = strategy_kind::pct;
  out.invariant = "S2";
  out.hash = ~seed;
  return out;
}

std::string refusal(std::string_view text) {
  const auto parsed = parse_plan(text, "p.toml");
  return parsed ? "was accepted" : parsed.error().why();
}

TEST(plan_text, every_plan_of_every_scenario_survives_a_round_trip) {
  for (const auto& each : built_in_scenarios())
    for (uint64_t seed = 0; seed < 30; ++seed) {
      const plan_file plan = plan_for(each, seed * 0x123456789abcdef);
      const std::string text = write_plan(plan);
      const auto parsed = parse_plan(text, "p.toml");
      ASSERT_TRUE(parsed.has_value()) << parsed.error().why() << "\n" << text;
      ASSERT_TRUE(*parsed == plan) << text;
      ASSERT_EQ(write_plan(*parsed), text);
    }
}

TEST(plan_text, odd_faults_survive_too) {
  plan_file plan;
  fault by_probe{.id = "F03", .node = 70};
  by_probe.when = {.at = milliseconds(3), .probe = "a \"b\"\nc", .nth = 12};
  by_probe.target = "shard";
  fault by_time = by_probe;
  by_time.when = {.at = duration(1), .probe = "", .nth = 5};
  by_time.target = "";
  by_time.node = 4;
  by_time.peer = 0;
  plan.plan.faults = {by_probe, by_time};
  const auto parsed = parse_plan(write_plan(plan), "p.toml");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().why() << write_plan(plan);
  EXPECT_TRUE(*parsed == plan) << write_plan(plan) << write_plan(*parsed);
}

TEST(plan_text, seeds_may_be_numbers_or_texts) {
  EXPECT_EQ(parse_plan("seed = 17", "p")->seed, 17u);
  EXPECT_EQ(parse_plan("seed = \"17\"", "p")->seed, 17u);
  EXPECT_EQ(parse_plan("seed = \"0xffffffffffffffff\"", "p")->seed, UINT64_MAX);
}

TEST(plan_text, mistakes_name_place_and_key) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"format = 2", "p.toml:1:1: format is 2, must be 1 to 1"},
      {"seed = -1", "p.toml:1:1: seed must be a number, or one in quotes such as \"0x1f\""},
      {"seed = \"0xg\"", "p.toml:1:1: seed must be a number, or one in quotes such as \"0x1f\""},
      {"sed = 1", "p.toml:1:1: sed is no setting; did you mean seed?"},
      {"invariant = \"X1\"", "p.toml:1:1: invariant is 'X1', must be one such as \"S2\""},
      {"[[fault]]\nnode = 1", "p.toml:1:1: a fault needs an id, such as id = \"F03\""},
      {"[[fault]]\nid = \"F00\"", "p.toml:2:1: 'F00' is no fault of the catalogue"},
      {"[[fault]]\nid = \"F03\"\nnode = 5", "p.toml:3:1: fault.node is 5, must be 0 to 4"},
      {"[[fault]]\nid = \"F26\"\nnode = 1\npeer = 1", "p.toml:4:1: peer is the node itself"},
      {"[[fault]]\nid = \"F03\"\nat = \"soon\"",
       "p.toml:3:1: fault.at: 'soon' is no duration such as \"300ms\", \"1.5s\" or \"2s\""},
      {"[[fault]]\nid = \"F03\"\nlast = \"1s\"",
       "p.toml:3:1: fault.last is no setting; did you mean lasts?"},
      {"[[fault]]\nid = \"F03\"\nsettings = { x = 1 }",
       "p.toml:3:14: settings of F03.x is no setting"},
      {"[[fault]]\nid = \"F05\"\nsettings = { fate = 4 }",
       "p.toml:3:14: settings of F05.fate is 4, must be 0 to 3"},
      {"[scenario.cluster]\nnodes = 99", "p.toml:2:1: cluster.nodes is 99, must be 1 to 64"},
  };
  for (const auto& [text, why] : cases) EXPECT_EQ(refusal(text), why) << text;
  EXPECT_NE(refusal("strategy = \"best\"").find("p.toml:1:1: strategy: "), std::string::npos);
  EXPECT_NE(refusal("[[fault]]\nid = \"F11\"").find("cannot be injected"), std::string::npos);
}

TEST(plan_text, describes_a_fault_in_a_line) {
  fault one{.id = "F24", .node = 2};
  one.when.at = milliseconds(312);
  one.lasts = milliseconds(1500);
  EXPECT_EQ(describe(one), "F24 partition at 312ms, n2, lasts 1500ms");
  one.when.probe = "epoch.go";
  one.when.nth = 3;
  one.target = "leader";
  EXPECT_EQ(describe(one), "F24 partition at hit 3 of epoch.go, leader (2), lasts 1500ms");
}

} // namespace
} // namespace troupe::simulations
