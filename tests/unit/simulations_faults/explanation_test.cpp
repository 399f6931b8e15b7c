// A replay says first whether it did what the plan recorded.
#include "simulations/runner/explanation.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations {
namespace {

class explanation_test : public ::testing::Test {
protected:
  explanation_test() {
    plan.about.name = "cascade";
    plan.seed = 31;
    plan.invariant = "S2";
    plan.hash = 5;
    plan.plan.faults.push_back({.id = "F03", .node = 2});
    result.hash = 5;
    result.violations.push_back({.invariant = "S2",
                                 .what = "token 3 is wrong",
                                 .when = time_point(std::chrono::milliseconds(812))});
    result.marks.push_back(
        {.node = 2, .when = time_point(std::chrono::milliseconds(20)), .what = "start"});
    result.marks.push_back(
        {.node = 2, .when = time_point(std::chrono::milliseconds(10)), .what = "crash"});
    result.tail = {"first", "second", "third"};
  }
  std::string told(const explanation_options& options = {}) {
    return explain(plan, result, options);
  }
  plan_file plan;
  run_result result;
};

TEST_F(explanation_test, tells_everything) {
  const std::string out = told({.timeline = true, .tail_max = 2});
  for (const auto* part :
       {"reproduced: fails in S2", "the hash is the recorded one", "seed 0x1f", "violation of S2",
        "token 3 is wrong", "F03 node_crash at 0ms, n2", "last 2 events:\n  second\n  third\n"})
    EXPECT_NE(out.find(part), std::string::npos) << part << "\n" << out;
  EXPECT_LT(out.find("n2  crash"), out.find("n2  start")) << "in order of time";
  EXPECT_EQ(out.find("first\n"), std::string::npos);
}

TEST_F(explanation_test, knows_whether_it_was_reproduced) {
  EXPECT_TRUE(reproduced(plan, result));
  result.hash = 6;
  EXPECT_FALSE(reproduced(plan, result));
  EXPECT_NE(told().find("the hash differs"), std::string::npos);
  result.hash = 5;
  result.violations[0].invariant = "S1";
  EXPECT_FALSE(reproduced(plan, result));
  EXPECT_NE(told().find("not reproduced"), std::string::npos);
  plan.invariant = "";
  EXPECT_NE(told().find("fails, where a pass was recorded"), std::string::npos);
}

} // namespace
} // namespace troupe::simulations
