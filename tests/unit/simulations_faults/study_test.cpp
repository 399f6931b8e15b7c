// Seeds until a bug is found, by strategy.
#include "simulations/runner/study.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations {
namespace {

// "shallow" shows with every fifth seed, "deep" only with pct and seed 30.
std::optional<std::string> pretend(const std::string& mutant, strategy_kind kind, uint64_t seed) {
  if (mutant == "shallow" && seed % 5 == 0) return "S2";
  if (mutant == "deep" && kind == strategy_kind::pct && seed == 30) return "M1";
  return std::nullopt;
}

study_options two_bugs() {
  study_options out;
  out.mutants = {"shallow", "deep"};
  out.strategies = {strategy_kind::fifo, strategy_kind::pct};
  out.seeds_max = 40;
  return out;
}

TEST(study, counts_the_seeds_until_a_bug_shows) {
  const auto table = study(two_bugs(), pretend);
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(table.rows[0].cells[0].seeds, 5u);
  EXPECT_EQ(table.rows[0].cells[0].invariant, "S2");
  EXPECT_EQ(table.rows[1].cells[0].seeds, 40u);
  EXPECT_FALSE(table.rows[1].cells[0].found());
  EXPECT_EQ(table.rows[1].cells[1].seeds, 30u);
  EXPECT_TRUE(table.rows[1].found());
  EXPECT_TRUE(table.complete);
}

TEST(study, as_a_table) {
  EXPECT_EQ(study_markdown(study(two_bugs(), pretend)),
            "| planted bug | fifo | pct | told by |\n"
            "|---|---|---|---|\n"
            "| shallow | 5 | 5 | S2 |\n"
            "| deep | > 40 | 30 | M1 |\n"
            "| median | 5 | 5 |  |\n");
}

TEST(study, as_json) {
  const std::string json = study_json(study(two_bugs(), pretend));
  for (const auto* part :
       {"\"mutant\": \"deep\"", "\"found\": true", "\"seeds\": 30", "\"complete\": true"})
    EXPECT_NE(json.find(part), std::string::npos) << part;
}

TEST(study, stopped_it_is_not_complete) {
  auto options = two_bugs();
  options.stop = [] { return true; };
  EXPECT_FALSE(study(options, pretend).complete);
}

} // namespace
} // namespace troupe::simulations
