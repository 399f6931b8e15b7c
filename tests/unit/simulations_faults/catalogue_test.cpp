// The table of faults is complete and consistent.
#include "simulations/faults/catalogue.hpp"

#include "base/text.hpp"
#include "simulations/faults/scenario.hpp"
#include "simulations/runner/invariants.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

namespace troupe::simulations {
namespace {

TEST(fault_catalogue, has_every_number_of_the_plan_once_in_order) {
  std::vector<std::string> wanted;
  const auto range = [&](int first, int last) {
    for (int i = first; i <= last; ++i)
      wanted.push_back("F" + std::string(i < 10 ? "0" : "") + std::to_string(i));
  };
  range(1, 13);
  range(20, 34);
  range(40, 47);
  range(50, 58);
  range(60, 64);
  range(70, 83);
  std::vector<std::string> got;
  for (const auto& each : fault_catalogue()) got.emplace_back(each.id);
  EXPECT_EQ(got, wanted);
}

TEST(fault_catalogue, most_can_be_injected_and_the_others_say_why_not) {
  size_t implemented = 0;
  for (const auto& each : fault_catalogue()) {
    EXPECT_TRUE(each.implemented() || each.not_yet.size() >= 20) << each.id;
    if (each.implemented()) ++implemented;
  }
  EXPECT_EQ(implemented, 53u);
}

TEST(fault_catalogue, entries_are_described_and_their_ranges_make_sense) {
  std::set<std::string_view> names;
  for (const auto& each : fault_catalogue()) {
    EXPECT_TRUE(names.insert(each.name).second) << each.name;
    EXPECT_GE(each.about.size(), 10u) << each.id;
    EXPECT_LE(each.lasts_least, each.lasts_most) << each.id;
    for (const auto& setting : each.settings) {
      EXPECT_LE(setting.least, setting.most) << each.id << " " << setting.name;
      EXPECT_LE(setting.allowed_least, setting.least) << each.id << " " << setting.name;
      EXPECT_GE(setting.allowed_most, setting.most) << each.id << " " << setting.name;
      EXPECT_FALSE(setting.about.empty()) << each.id << " " << setting.name;
    }
  }
}

TEST(manual_of_simulations, has_a_row_for_every_scenario_fault_and_invariant) {
  std::ifstream stream(TROUPE_SOURCE_DIR "/docs/simulation.md");
  std::stringstream all;
  all << stream.rdbuf();
  const std::string manual = all.str();
  const auto has_row = [&](const std::string& begin) {
    return manual.find("\n| " + begin + " |") != std::string::npos;
  };
  for (const auto& each : fault_catalogue()) {
    EXPECT_TRUE(has_row(text(each.id, " | ", each.name))) << each.id;
    for (const auto& setting : each.settings)
      EXPECT_TRUE(setting.name == "shuffle" ||
                  manual.find(text("`", setting.name, "`")) != std::string::npos)
          << each.id << " " << setting.name;
  }
  for (const auto& each : built_in_scenarios())
    EXPECT_TRUE(has_row(text("`", each.name, "`"))) << each.name;
  for (const auto& each : invariant_table())
    EXPECT_TRUE(has_row(text(each.id, " | ", exit_code_of(each.worth)))) << each.id;
}

} // namespace
} // namespace troupe::simulations
