// What the simulate commands make of names, files and flags.
#include "cli/simulate.hpp"

#include "cli/simulate_runs.hpp"
#include "storage/posix_file_system.hpp"
#include "tests/unit/cli/commands.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace troupe::cli {
namespace {

const storage::posix_file_system files;

class scratch_folder {
public:
  scratch_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "troupe_simulate_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~scratch_folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

TEST(simulate, scenarios_are_found_by_name) {
  EXPECT_EQ(load_scenario(files, "node_loss")->name, "node_loss");
  const auto wrong = load_scenario(files, "node_los");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_NE(wrong.error().why().find("did you mean node_loss?"), std::string::npos)
      << wrong.error().why();
}

TEST(simulate, scenarios_are_found_by_file) {
  const scratch_folder folder;
  const std::string path = folder / "my_own.toml";
  ASSERT_TRUE(write_file(path, "[cluster]\nnodes = 9\n").ok());
  const auto loaded = load_scenario(files, path);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().why();
  EXPECT_EQ(loaded->cluster.nodes, 9u);
  EXPECT_EQ(loaded->name, "my_own") << "it says none of itself";
  ASSERT_TRUE(write_file(path, "[cluster]\nnods = 9\n").ok());
  EXPECT_EQ(load_scenario(files, path).error().why(),
            path + ":2:1: cluster.nods is no setting; did you mean nodes?");
  EXPECT_FALSE(load_scenario(files, folder / "none.toml").has_value());
}

TEST(simulate, all_of_them_by_default) {
  const auto all = simulations::built_in_scenarios().size();
  EXPECT_EQ(load_scenarios(files, {})->size(), all);
  EXPECT_EQ(load_scenarios(files, {"all"})->size(), all);
  EXPECT_EQ(load_scenarios(files, {"steady", "drain"})->size(), 2u);
  EXPECT_FALSE(load_scenarios(files, {"steady", "dran"}).has_value());
}

TEST(simulate, fewer_nodes_take_voters_doors_and_targets_along) {
  auto about = *load_scenario(files, "rolling_restart");
  about.cluster.doors = 4;
  set_nodes(about, 2);
  EXPECT_EQ(about.cluster.voters, 1u);
  EXPECT_EQ(about.cluster.doors, 2u);
  EXPECT_EQ(about.antagonists[1].target, "1");
  EXPECT_EQ(about.antagonists[4].target, "any");
  EXPECT_TRUE(simulations::parse_scenario(simulations::write_scenario(about), "x").has_value());
}

TEST(simulate, folders_are_made_with_their_parents) {
  const scratch_folder folder;
  const std::string path = folder / "a/b/c";
  ASSERT_TRUE(make_directory(path).ok());
  ASSERT_TRUE(make_directory(path).ok()) << "it is there";
  EXPECT_TRUE(write_file(path + "/x", "y").ok());
  EXPECT_FALSE(make_directory(path + "/x/z").ok());
  EXPECT_FALSE(write_file(path + "/none/x", "y").ok());
}

TEST(simulate, a_run_that_dies_is_a_violation_of_its_own) {
  simulations::run_spec spec;
  spec.seed = 8;
  const auto crashed = broken_run(spec, "signal 6 (Aborted): x.cpp:3: check failed", false);
  ASSERT_EQ(crashed.violations.size(), 1u);
  EXPECT_EQ(crashed.violations[0].invariant, "CHECK");
  EXPECT_EQ(crashed.seed, 8u);
  EXPECT_NE(crashed.strategy, simulations::strategy_kind::portfolio);
  EXPECT_EQ(broken_run(spec, "no end", true).violations[0].invariant, "HARNESS");
}

TEST(simulate, a_run_in_a_process_of_its_own_is_the_same_run) {
  const system_clock time;
  simulations::run_spec spec;
  spec.what = *load_scenario(files, "standard");
  spec.seed = 3;
  const auto there = isolated_runs(time)(spec);
  const auto here = simulations::run_once(spec);
  EXPECT_EQ(there.hash, here.hash);
  EXPECT_EQ(there.events, here.events);
  EXPECT_EQ(there.plan, here.plan);
  EXPECT_TRUE(there.violations.empty());
}

TEST(simulate, flags_have_their_ranges) {
  auto commands = all_commands();
  auto& run = find_command(commands, "simulate run");
  std::string bad;
  EXPECT_TRUE(find_option(run, "strategy").assign({"pct"}, bad).ok());
  EXPECT_FALSE(find_option(run, "strategy").assign({"best"}, bad).ok());
  EXPECT_FALSE(find_option(run, "nodes").assign({"65"}, bad).ok());
  EXPECT_TRUE(find_option(run, "check-determinism").assign({"all"}, bad).ok());
  EXPECT_FALSE(find_option(run, "check-determinism").assign({"5"}, bad).ok());
}

} // namespace
} // namespace troupe::cli
