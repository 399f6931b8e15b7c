// Which settings a checkpoint depends on, and what is said when they differ. Whole runs with kills
// are in tests/e2e_cli/checkpoint_test.py.
#include "cli/learn_checkpoints.hpp"

#include "cli/learn.hpp"
#include "tests/unit/cli/commands.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace troupe::cli {
namespace {

std::set<std::string> names_of(const checkpoint_settings_list& list) {
  std::set<std::string> out;
  for (const auto& each : list) out.insert(each.name);
  return out;
}

TEST(learn_checkpoints, every_setting_counts_unless_it_never_changes_the_result) {
  learn_settings settings;
  const auto options = options_of(settings);
  const auto counting = names_of(settings_that_matter(options));
  for (const char* name :
       {"steps", "step-tokens", "context", "learning-rate", "warmup-steps", "decay", "decay-steps",
        "weight-decay", "clip", "balance", "hold-out", "seed"})
    EXPECT_TRUE(counting.contains(name)) << name;
  for (const auto& option : options) {
    // What help promises is kept.
    if (option.help.find("never changes the result") != std::string::npos) {
      EXPECT_FALSE(counting.contains(option.name)) << option.name;
    }
  }
  for (const char* name : {"out", "checkpoints", "resume", "keep", "report-every", "log-level"})
    EXPECT_FALSE(counting.contains(name)) << name;
}

TEST(learn_checkpoints, a_rate_that_never_falls_does_not_depend_on_the_number_of_steps) {
  learn_settings settings;
  settings.decay = "constant";
  const auto counting = names_of(settings_that_matter(options_of(settings)));
  EXPECT_FALSE(counting.contains("steps"));
  EXPECT_TRUE(counting.contains("decay"));
}

TEST(learn_checkpoints, the_setting_that_differs_is_named) {
  const checkpoint_settings_list then = {{"seed", "1"}, {"clip", ""}, {"old", "3"}};
  EXPECT_TRUE(check_same_settings(then, then).ok());
  struct {
    checkpoint_settings_list now;
    const char* said;
  } const table[] = {
      {{{"seed", "2"}, {"clip", ""}, {"old", "3"}}, "--resume: seed was 1 and is 2, which"},
      {{{"seed", "1"}, {"clip", "4"}, {"old", "3"}}, "clip was unset and is 4"},
      {{{"seed", "1"}, {"clip", ""}}, "old was 3 and is not set"},
      {{{"seed", "1"}, {"clip", ""}, {"old", "3"}, {"new", "5"}}, "new was not set and is 5"},
  };
  for (const auto& row : table) {
    const status refused = check_same_settings(then, row.now);
    EXPECT_EQ(refused.code(), status_code::invalid_argument);
    EXPECT_NE(refused.why().find(row.said), std::string::npos) << refused.why();
  }
}

} // namespace
} // namespace troupe::cli
