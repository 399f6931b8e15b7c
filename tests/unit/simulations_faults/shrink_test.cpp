// What is left after shrinking fails in the same way, and without any one fault it does not.
#include "simulations/runner/shrink.hpp"

#include "base/random.hpp"
#include "base/text.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace troupe::simulations {
namespace {

using places = std::vector<size_t>;

bool has_all(const places& which, const std::set<size_t>& wanted) {
  return std::includes(which.begin(), which.end(), wanted.begin(), wanted.end());
}

TEST(minimise, finds_any_set_of_causes) {
  for (uint64_t n = 0; n < 300; ++n) {
    const random_key key{.seed = n};
    const size_t count = 1 + random_below(key, 0, 40);
    std::set<size_t> causes;
    const uint64_t wanted = random_below(key, 1, 6);
    for (uint64_t i = 0; i < wanted; ++i) causes.insert(random_below(key, 2 + i, count));
    const auto left = minimise(count, [&](const places& which) { return has_all(which, causes); });
    EXPECT_EQ(std::set<size_t>(left.begin(), left.end()), causes) << n;
    EXPECT_TRUE(std::is_sorted(left.begin(), left.end()));
  }
}

// Either of two sets will do, and some other faults hide the failure.
TEST(minimise, is_minimal_for_oracles_that_are_not_monotone) {
  for (uint64_t n = 0; n < 300; ++n) {
    const random_key key{.seed = n, .subsystem = random_subsystem::faults};
    const size_t count = 8 + random_below(key, 0, 20);
    const std::set<size_t> one = {random_below(key, 1, count), random_below(key, 2, count)};
    const std::set<size_t> other = {random_below(key, 3, count), random_below(key, 4, count),
                                    random_below(key, 5, count)};
    const auto fails = [&](const places& which) {
      const bool hidden = which.size() % 7 == 3 && which.size() != count;
      return !hidden && (has_all(which, one) || has_all(which, other));
    };
    if (!fails([&] {
          places all(count);
          for (size_t i = 0; i < count; ++i) all[i] = i;
          return all;
        }()))
      continue;
    const auto left = minimise(count, fails);
    EXPECT_TRUE(fails(left));
    for (size_t i = 0; i < left.size(); ++i) {
      places fewer = left;
      fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(i));
      EXPECT_FALSE(fails(fewer)) << n << " without " << left[i];
    }
  }
}

TEST(minimise, of_nothing_and_of_what_fails_anyway_is_nothing) {
  EXPECT_TRUE(minimise(0, [](const places&) { return true; }).empty());
  EXPECT_TRUE(minimise(9, [](const places&) { return true; }).empty());
}

fault some_fault(const std::string& id, uint32_t node) {
  fault out;
  out.id = id;
  out.node = node;
  out.lasts = std::chrono::milliseconds(800);
  out.settings = {{"restart_after_ms", 400}};
  return out;
}

bool present(const fault_plan& plan, const std::string& id) {
  return std::any_of(plan.faults.begin(), plan.faults.end(),
                     [&](const fault& each) { return each.id == id; });
}

plan_file twelve_faults() {
  plan_file out;
  for (uint32_t i = 0; i < 4; ++i) {
    out.plan.faults.push_back(some_fault("F03", i));
    out.plan.faults.push_back(some_fault(i == 2 ? "F05" : "F09", i));
    out.plan.faults.push_back(some_fault(i == 1 ? "F04" : "F12", i));
  }
  out.seed = 11;
  return out;
}

// Fails in S2 when a wiped disk (F04) meets a power loss (F05) that lasts, on three nodes at least.
run_result pretend(const run_spec& spec) {
  run_result out;
  out.seed = spec.seed;
  out.events = 1000 + 100 * spec.plan->faults.size();
  out.hash = out.events;
  out.plan = *spec.plan;
  const bool both = present(*spec.plan, "F04") && present(*spec.plan, "F05");
  bool long_enough = false;
  for (const auto& each : spec.plan->faults)
    long_enough = long_enough || (each.id == "F05" && each.lasts >= std::chrono::milliseconds(50));
  if (both && long_enough && spec.what.cluster.nodes >= 3 && spec.what.workload.requests >= 2)
    out.violations.push_back({.invariant = "S2", .what = "wrong bytes", .when = {}});
  if (present(*spec.plan, "F09"))
    out.violations.push_back({.invariant = "S6", .what = "another failure", .when = {}});
  return out;
}

TEST(shrink, leaves_the_causes_alone_and_makes_everything_small) {
  const auto found = shrink(twelve_faults(), {}, pretend);
  ASSERT_TRUE(found.has_value()) << found.error().why();
  EXPECT_EQ(found->plan.invariant, "S2") << "the worst one";
  ASSERT_EQ(found->plan.plan.faults.size(), 2u);
  EXPECT_TRUE(present(found->plan.plan, "F04") && present(found->plan.plan, "F05"));
  EXPECT_EQ(found->faults_before, 12u);
  EXPECT_EQ(found->events_before, 2200u);
  EXPECT_TRUE(found->minimal);
  EXPECT_EQ(found->plan.about.cluster.nodes, 3u);
  EXPECT_EQ(found->plan.about.workload.requests, 2u);
  EXPECT_EQ(found->plan.strategy.kind, strategy_kind::fifo);
  for (const auto& each : found->plan.plan.faults) {
    EXPECT_LT(each.lasts, std::chrono::milliseconds(101)) << each.id;
    EXPECT_EQ(each.settings.at("restart_after_ms"), 1) << "never 0, which would be for good";
  }
  EXPECT_EQ(found->last.violations.at(0).invariant, "S2");
  EXPECT_EQ(found->plan.hash, found->last.hash);
}

TEST(shrink, keeps_to_the_invariant_of_the_plan) {
  plan_file plan = twelve_faults();
  plan.invariant = "S6";
  const auto found = shrink(plan, {}, pretend);
  ASSERT_TRUE(found.has_value());
  ASSERT_EQ(found->plan.plan.faults.size(), 1u);
  EXPECT_EQ(found->plan.plan.faults[0].id, "F09");
}

TEST(shrink, a_plan_that_does_not_fail_is_refused) {
  plan_file plan;
  const auto found = shrink(plan, {}, pretend);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code(), status_code::not_found);
  plan = twelve_faults();
  plan.invariant = "M1";
  EXPECT_EQ(shrink(plan, {}, pretend).error().why(), "the plan does not fail in M1");
}

TEST(shrink, with_few_runs_it_is_minimal_all_the_same) {
  shrink_options options;
  options.runs_max = 5;
  const auto found = shrink(twelve_faults(), options, pretend);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->plan.plan.faults.size(), 2u);
  EXPECT_TRUE(found->minimal);
}

TEST(shrink, stopped_it_says_that_it_may_not_be_minimal) {
  shrink_options options;
  options.stop = [] { return true; };
  const auto found = shrink(twelve_faults(), options, pretend);
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->minimal);
  EXPECT_EQ(found->plan.invariant, "S2");
}

// Random oracles: a few faults are needed together, others hide the failure.
TEST(shrink, is_minimal_whatever_the_oracle) {
  for (uint64_t n = 0; n < 60; ++n) {
    const random_key key{.seed = n, .subsystem = random_subsystem::workload};
    plan_file plan;
    const uint32_t count = 2 + static_cast<uint32_t>(random_below(key, 0, 14));
    plan.about.cluster.nodes = 64;
    for (uint32_t i = 0; i < count; ++i) plan.plan.faults.push_back(some_fault("F03", i));
    std::set<uint32_t> causes;
    for (uint64_t i = 0; i < 3; ++i)
      causes.insert(static_cast<uint32_t>(random_below(key, 1 + i, count)));
    const auto hider = static_cast<uint32_t>(random_below(key, 9, count));
    const run_function run = [&](const run_spec& spec) {
      run_result out;
      out.events = 1;
      std::set<uint32_t> nodes;
      for (const auto& each : spec.plan->faults) nodes.insert(each.node);
      const bool all = std::includes(nodes.begin(), nodes.end(), causes.begin(), causes.end());
      const bool hidden = !causes.contains(hider) && nodes.contains(hider) && nodes.size() < count;
      if (all && !hidden) out.violations.push_back({.invariant = "M1", .what = "x", .when = {}});
      return out;
    };
    const auto found = shrink(plan, {}, run);
    ASSERT_TRUE(found.has_value());
    EXPECT_TRUE(found->minimal);
    for (size_t i = 0; i < found->plan.plan.faults.size(); ++i) {
      plan_file fewer = found->plan;
      fewer.plan.faults.erase(fewer.plan.faults.begin() + static_cast<ptrdiff_t>(i));
      EXPECT_TRUE(run(spec_of(fewer)).violations.empty()) << n << " without " << i;
    }
  }
}

} // namespace
} // namespace troupe::simulations
