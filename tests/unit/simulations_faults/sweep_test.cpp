// Which runs a sweep has, how they are judged, and what they add up to.
#include "simulations/runner/sweep.hpp"

#include "simulations/runner/probes.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe::simulations {
namespace {

run_result failing(const std::string& invariant) {
  run_result out;
  out.seed = 42;
  out.events = 5123;
  out.virtual_time = std::chrono::milliseconds(1829);
  out.strategy = strategy_kind::pct;
  out.violations.push_back({.invariant = invariant, .what = "something", .when = {}});
  return out;
}

TEST(parse_seeds, reads_ranges_and_single_seeds) {
  EXPECT_EQ(parse_seeds("1..2000")->last, 2000u);
  EXPECT_EQ(parse_seeds("7")->first, 7u);
  EXPECT_EQ(parse_seeds("7")->last, 7u);
  EXPECT_EQ(parse_seeds("0x10..0x1f")->first, 16u);
  for (const auto* wrong : {"", "..", "1..", "..2", "2..1", "a..b", "1...3", "-1", "1..2..3"})
    EXPECT_FALSE(parse_seeds(wrong).has_value()) << wrong;
}

TEST(sweep, every_scenario_meets_every_seed_once) {
  sweep_options options;
  options.scenarios.resize(3);
  options.seeds = {5, 9};
  ASSERT_EQ(runs_of(options), 15u);
  std::set<std::pair<size_t, uint64_t>> seen;
  for (uint64_t n = 0; n < 15; ++n) {
    const auto item = item_of(options, n);
    EXPECT_LT(item.scenario, 3u);
    EXPECT_TRUE(item.seed >= 5 && item.seed <= 9);
    EXPECT_TRUE(seen.emplace(item.scenario, item.seed).second);
  }
}

TEST(sweep, one_seed_in_twenty_runs_twice) {
  size_t twice = 0;
  for (uint64_t seed = 0; seed < 20'000; ++seed) {
    if (runs_twice(seed, determinism_check::some)) ++twice;
    EXPECT_TRUE(runs_twice(seed, determinism_check::all));
    EXPECT_FALSE(runs_twice(seed, determinism_check::none));
  }
  EXPECT_NEAR(double(twice), 1000, 150);
}

TEST(sweep, a_run_that_differs_from_itself_is_told_with_its_first_event) {
  run_spec spec;
  spec.seed = 9;
  int runs = 0;
  const run_function shaky = [&runs](const run_spec& asked) {
    run_result out;
    out.events = 4;
    out.hash = static_cast<uint64_t>(++runs);
    if (asked.log_draws) out.event_hashes = {1, 2, out.hash, 4};
    return out;
  };
  const auto result = run_judged(spec, true, shaky);
  ASSERT_EQ(result.violations.size(), 1u);
  EXPECT_EQ(result.violations[0].invariant, "D1");
  EXPECT_NE(result.violations[0].what.find("differs is number 2"), std::string::npos)
      << result.violations[0].what;
  EXPECT_TRUE(run_judged(spec, false, shaky).violations.empty());
  const run_function firm = [](const run_spec&) { return run_result{}; };
  EXPECT_TRUE(run_judged(spec, true, firm).violations.empty());
}

TEST(judge, what_a_scenario_wants_to_fail_must_fail_and_nothing_else) {
  scenario about;
  about.expect.fails_with = "M6";
  run_result wanted = failing("M6");
  judge(about, wanted);
  EXPECT_TRUE(wanted.violations.empty());
  run_result both = failing("S6");
  both.violations.push_back({.invariant = "M6", .what = "stuck", .when = {}});
  judge(about, both);
  EXPECT_TRUE(both.violations.empty()) << "what never ends breaks several at once";
  run_result other = failing("S6");
  judge(about, other);
  EXPECT_EQ(other.violations.size(), 2u);
  run_result passed;
  judge(about, passed);
  ASSERT_EQ(passed.violations.size(), 1u);
  EXPECT_EQ(passed.violations[0].invariant, "EXPECT");
  run_result more = failing("M6");
  more.violations.push_back({.invariant = "S2", .what = "wrong", .when = {}});
  judge(about, more);
  ASSERT_EQ(more.violations.size(), 1u);
  EXPECT_EQ(more.violations[0].invariant, "S2");
}

TEST(judge, streams_that_must_end_with_a_status_must_do_so) {
  scenario about;
  about.expect.fails_with = "unavailable";
  run_result none;
  none.streams = 4;
  judge(about, none);
  ASSERT_EQ(none.violations.size(), 1u);
  EXPECT_EQ(none.violations[0].invariant, "EXPECT");
  run_result some;
  some.streams = 4;
  some.streams_failed = 3;
  judge(about, some);
  EXPECT_TRUE(some.violations.empty());
}

TEST(judge, a_cluster_that_cannot_agree_may_leave_things_behind) {
  scenario about;
  run_result leaking = failing("S9");
  judge(about, leaking);
  EXPECT_EQ(leaking.violations.size(), 1u);
  about.expect.survivable = false;
  judge(about, leaking);
  EXPECT_TRUE(leaking.violations.empty());
}

TEST(severity, the_worst_of_several_decides) {
  run_result several = failing("M7");
  several.violations.push_back({.invariant = "S2", .what = "first", .when = {}});
  several.violations.push_back({.invariant = "S1", .what = "second", .when = {}});
  several.violations.push_back({.invariant = "S6", .what = "third", .when = {}});
  EXPECT_EQ(worst(several)->what, "first");
  const std::vector<std::pair<std::string, int>> codes = {
      {"D1", 130}, {"CHECK", 127}, {"S2", 129},      {"S6", 128},     {"M6", 128},
      {"M7", 131}, {"S9", 131},    {"HARNESS", 132}, {"made up", 129}};
  for (const auto& [id, code] : codes) EXPECT_EQ(exit_code_of(severity_of(id)), code) << id;
  EXPECT_EQ(exit_code_of(severity::passed), 0);
  EXPECT_EQ(worst(run_result{}), nullptr);
}

TEST(failure_line, is_one_line_with_the_way_to_replay_it) {
  scenario about;
  about.name = "node_loss";
  EXPECT_EQ(failure_line(about, failing("S2"), "out/a.toml"),
            "FAIL inv=S2 seed=0x2a scenario=node_loss strategy=pct events=5123 vt=1.82s "
            "replay=\"troupe simulate replay out/a.toml\"");
}

TEST(plan_of, has_what_a_replay_needs) {
  run_spec spec;
  spec.what.name = "x";
  spec.what.antagonists.push_back({.id = "F03"});
  spec.seed = 6;
  run_result result = failing("S2");
  result.hash = 77;
  result.plan.faults.push_back({.id = "F03"});
  const auto plan = plan_of(spec, result);
  EXPECT_TRUE(plan.about.antagonists.empty()) << "they have become faults";
  EXPECT_EQ(plan.strategy.kind, resolve(strategy_kind::portfolio, 6));
  EXPECT_EQ(plan.plan.faults.size(), 1u);
  EXPECT_EQ(plan.invariant, "S2");
  EXPECT_EQ(plan.hash, 77u);
}

class summary_test : public ::testing::Test {
protected:
  summary_test() {
    for (int i = 1; i <= 100; ++i) {
      run_result one;
      one.events = 10;
      one.virtual_time = std::chrono::hours(1);
      one.faults["F03"] = 2;
      one.probes["epoch.go"] = 1;
      one.streams = 8;
      one.tokens = 50;
      one.tokens_recomputed = 5;
      one.recoveries.push_back(
          {.detect = std::chrono::milliseconds(i), .decide = {}, .restore = {}, .refill = {}});
      sum.add(one, i % 2 == 0);
    }
    sum.add(failing("S6"), false);
    sum.add(failing("M7"), false);
  }
  sweep_summary sum;
};

TEST_F(summary_test, counts_everything) {
  EXPECT_EQ(sum.runs, 102u);
  EXPECT_EQ(sum.twice, 50u);
  EXPECT_EQ(sum.failed, 2u);
  EXPECT_EQ(sum.faults.at("F03"), 200u);
  EXPECT_EQ(sum.streams_lost, 1u);
  EXPECT_EQ(sum.worst, severity::liveness);
  const auto missed = probes_missed(sum);
  EXPECT_EQ(missed.size(), known_probes().size() - 1);
}

TEST(sweep_summary_test, the_digest_depends_on_every_run_and_on_no_order) {
  run_result a, b;
  a.hash = 17;
  b.hash = uint64_t{1} << 63;
  sweep_summary ab, ba, aa;
  for (const auto* run : {&a, &b}) ab.add(*run, false);
  for (const auto* run : {&b, &a}) ba.add(*run, false);
  for (const auto* run : {&a, &a}) aa.add(*run, false);
  EXPECT_EQ(ab.digest, ba.digest);
  EXPECT_NE(ab.digest, aa.digest);
  EXPECT_NE(summary_text(ab, {}).find("digest               0x8000000000000011\n"),
            std::string::npos);
}

TEST_F(summary_test, the_table_says_it) {
  const std::string table = summary_text(sum, std::chrono::seconds(2));
  for (const auto* part :
       {"runs                 102 (50 of them twice), 51.0 a second\n", "failed               2\n",
        "F03 node_crash 200", "streams lost         1\n", "violations           M7 1, S6 1\n",
        "  detect                                   50.0       99.0\n",
        "tokens recomputed    500 (10.00 %)\n", "probes never hit"})
    EXPECT_NE(table.find(part), std::string::npos) << part << "\n" << table;
}

TEST_F(summary_test, the_json_says_it_too) {
  const std::string json = summary_json(sum, std::chrono::seconds(2));
  for (const auto* part : {"\"runs\": 102", "\"outcome\": \"liveness\"", "\"p99_ms\": 99.0"})
    EXPECT_NE(json.find(part), std::string::npos) << part << "\n" << json;
}

} // namespace
} // namespace troupe::simulations
