// Whole runs: what a seed fixes, what faults may not change, and that wrong runs are found.
#include "simulations/runner/run_once.hpp"

#include "base/log.hpp"
#include "simulations/faults/expansion.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe::simulations {
namespace {

class run_once_test : public testing::Test {
protected:
  void SetUp() override { log::set_level(log::level::off); }
  void TearDown() override { log::set_level(log::level::warn); }

  run_spec spec(uint64_t seed) const {
    run_spec out;
    out.what = about;
    out.seed = seed;
    out.plan = plan;
    return out;
  }

  run_result run(uint64_t seed) const { return run_once(spec(seed)); }

  static std::string text_of(const run_result& result) {
    std::string out;
    for (const auto& v : result.violations) out += v.invariant + ": " + v.what + "\n";
    return out;
  }

  // A fault at a time after the cluster stood.
  void add(const char* id, int at_ms, uint32_t node, std::map<std::string, int64_t> settings = {},
           int lasts_ms = 0) {
    if (!plan) plan.emplace();
    fault made;
    made.id = id;
    made.when.at = std::chrono::milliseconds(at_ms);
    made.node = node;
    made.lasts = std::chrono::milliseconds(lasts_ms);
    made.settings = std::move(settings);
    plan->faults.push_back(std::move(made));
  }

  scenario about;
  std::optional<fault_plan> plan;
};

TEST_F(run_once_test, undisturbed_runs_pass_and_compute_nothing_twice) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const auto got = run(seed);
    EXPECT_EQ(text_of(got), "");
    EXPECT_GT(got.tokens, 30u);
    EXPECT_EQ(got.streams_failed, 0u);
    EXPECT_EQ(got.epochs, 1u);
  }
}

// It stays a member, since it still talks; nobody waits until it computes again.
TEST_F(run_once_test, others_take_over_from_a_device_that_hangs_for_a_minute) {
  add("F44", 100, 0, {}, 70'000);
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    const auto got = run(seed);
    EXPECT_EQ(text_of(got), "");
    EXPECT_EQ(got.probes.at("device.hung"), 1u);
  }
}

TEST_F(run_once_test, a_seed_fixes_every_event) {
  about.antagonists.push_back({.id = "F03"});
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    auto one = spec(seed), two = spec(seed);
    one.log_draws = two.log_draws = true;
    const auto first = run_once(one);
    const auto again = run_once(two);
    EXPECT_EQ(first.hash, again.hash);
    EXPECT_EQ(first.event_hashes, again.event_hashes);
    EXPECT_EQ(first.events, again.events);
  }
}

TEST_F(run_once_test, seeds_and_strategies_differ) {
  std::set<uint64_t> hashes;
  for (uint64_t seed = 1; seed <= 4; ++seed)
    for (const auto kind : {strategy_kind::fifo, strategy_kind::random, strategy_kind::pct}) {
      auto one = spec(seed);
      one.strategy.kind = kind;
      const auto got = run_once(one);
      EXPECT_EQ(text_of(got), "");
      hashes.insert(got.hash);
    }
  EXPECT_EQ(hashes.size(), 12u);
}

TEST_F(run_once_test, a_node_that_ends_costs_no_stream_and_is_recovered_from) {
  for (uint32_t node = 0; node < 5; ++node) {
    plan.reset();
    add("F03", 150, node, {{"restart_after_ms", 0}});
    const auto got = run(7);
    EXPECT_EQ(text_of(got), "") << "node " << node;
    EXPECT_EQ(got.streams_failed, 0u);
    EXPECT_EQ(got.faults.at("F03"), 1u);
    EXPECT_GE(got.epochs, 2u);
    ASSERT_FALSE(got.recoveries.empty());
    EXPECT_GT(got.recoveries.front().detect, duration(0));
  }
}

TEST_F(run_once_test, a_lost_device_moves_its_work_elsewhere) {
  for (uint32_t node = 0; node < 5; ++node) {
    plan.reset();
    add("F40", 150, node);
    const auto got = run(3);
    EXPECT_EQ(text_of(got), "") << "node " << node;
    EXPECT_EQ(got.streams_failed, 0u);
    EXPECT_GE(got.epochs, 2u);
  }
}

TEST_F(run_once_test, a_drained_node_leaves_without_costing_a_stream) {
  add("F09", 100, 1);
  const auto got = run(5);
  EXPECT_EQ(text_of(got), "");
  EXPECT_EQ(got.streams_failed, 0u);
  EXPECT_GE(got.epochs, 2u);
}

TEST_F(run_once_test, leaving_a_fault_out_leaves_the_others_where_they_were) {
  about.antagonists.push_back({.id = "F03", .count_min = 2, .count_max = 2});
  about.antagonists.push_back({.id = "F07"});
  const auto all = expand(about, 11);
  ASSERT_EQ(all.faults.size(), 3u);
  about.antagonists.pop_back();
  const auto fewer = expand(about, 11);
  for (const auto& kept : fewer.faults)
    EXPECT_NE(std::find(all.faults.begin(), all.faults.end(), kept), all.faults.end());
}

TEST_F(run_once_test, a_client_that_has_to_give_up_is_a_violation) {
  about.workload.patience = std::chrono::milliseconds(20);
  about.workload.retries_max = 2;
  add("F07", 50, 0, {}, 4000); // a paused node takes connections and stays silent
  const auto got = run(2);
  std::set<std::string> invariants;
  for (const auto& v : got.violations) invariants.insert(v.invariant);
  EXPECT_EQ(invariants.count("S6"), 1u) << text_of(got);
  about.expect.explicit_errors = true;
  for (const auto& v : run(2).violations) EXPECT_NE(v.invariant, "S2") << v.what;
}

} // namespace
} // namespace troupe::simulations
