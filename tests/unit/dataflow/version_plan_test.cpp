// From the registry's word to what is loaded, answers and is let go.
#include "dataflow/version_plan.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace troupe::dataflow {
namespace {

using kind = version_plan::step::kind;
using std::chrono::seconds;

time_point at(int64_t s) {
  return time_point{} + seconds(s);
}

struct draws {
  random_key key;
  uint64_t n = 0;
  uint64_t next() { return random_bits(key, n++); }
};

struct said {
  kind what;
  uint64_t version;
  friend bool operator==(const said&, const said&) = default;
};
said next(version_plan& plan, int64_t s = 0) {
  const auto step = plan.next(at(s));
  return {step.what, step.version};
}

TEST(version_plan_test, a_promoted_version_is_loaded_beside_the_old_one_and_then_answers) {
  version_plan plan({}, 1);
  EXPECT_EQ(next(plan).what, kind::none);
  plan.promoted(2);
  EXPECT_EQ(next(plan), (said{kind::load, 2}));
  EXPECT_EQ(next(plan).what, kind::none);
  EXPECT_EQ(plan.serving(), 1u);
  plan.loaded(2);
  EXPECT_EQ(next(plan), (said{kind::activate, 2}));
  EXPECT_EQ(plan.serving(), 2u);
}

TEST(version_plan_test, the_old_version_goes_when_its_last_stream_and_the_way_back_end) {
  version_plan plan({.way_back = seconds(10)}, 1);
  plan.promoted(2);
  (void)plan.next(at(0));
  plan.loaded(2);
  plan.in_use(1, 3);
  EXPECT_EQ(next(plan, 0).what, kind::activate);
  EXPECT_EQ(next(plan, 20).what, kind::none) << "three streams still draw with it";
  plan.in_use(1, 0);
  EXPECT_EQ(next(plan, 9).what, kind::none);
  EXPECT_EQ(next(plan, 10), (said{kind::free, 1}));
}

TEST(version_plan_test, the_way_back_is_a_switch_while_the_old_version_is_there) {
  version_plan plan({.canary = {.percent = 5}}, 1);
  plan.promoted(2);
  (void)plan.next(at(0));
  plan.loaded(2);
  EXPECT_EQ(next(plan), (said{kind::canary, 2}));
  plan.counted(2, {1000, 0});
  EXPECT_EQ(next(plan), (said{kind::activate, 2}));
  plan.promoted(1);
  EXPECT_EQ(next(plan), (said{kind::activate, 1})) << "what has served needs no canary";
}

TEST(version_plan_test, memory_is_bounded_and_what_would_break_the_bound_waits) {
  version_plan plan({.versions_max = 2, .way_back = seconds(100)}, 1);
  plan.in_use(1, 1);
  plan.promoted(2);
  (void)plan.next(at(0));
  plan.loaded(2);
  (void)plan.next(at(0));
  plan.promoted(3);
  const auto waits = plan.next(at(1));
  EXPECT_EQ(waits.what, kind::none);
  EXPECT_EQ(waits.why,
            "version 3 waits: 2 versions are in memory and still have streams, the most allowed");
  plan.in_use(1, 0); // a version that comes goes before the quick way back
  EXPECT_EQ(next(plan, 1), (said{kind::free, 1}));
  EXPECT_EQ(next(plan, 1), (said{kind::load, 3}));
}

TEST(version_plan_test, what_cannot_be_loaded_is_named_and_left_alone) {
  version_plan plan({}, 1);
  plan.promoted(2);
  (void)plan.next(at(0));
  plan.refused(2, "version 2: model.safetensors is damaged");
  EXPECT_EQ(next(plan, 1).what, kind::none);
  EXPECT_EQ(plan.trouble(), "version 2: model.safetensors is damaged");
  plan.promoted(2);
  EXPECT_EQ(next(plan, 2).what, kind::none);
  plan.promoted(3);
  EXPECT_EQ(next(plan, 3), (said{kind::load, 3}));
  EXPECT_EQ(plan.trouble(), "");
  EXPECT_EQ(plan.serving(), 1u);
}

TEST(version_plan_test, a_canary_that_fails_is_rolled_back_and_let_go) {
  version_plan plan({.canary = {.percent = 50, .answers_min = 10}}, 1);
  plan.promoted(2);
  (void)plan.next(at(0));
  plan.loaded(2);
  EXPECT_EQ(next(plan), (said{kind::canary, 2}));
  EXPECT_EQ(plan.serving(), 1u);
  plan.in_use(2, 1);
  plan.counted(2, {3, 1});
  const auto failed = plan.next(at(1));
  EXPECT_EQ(failed.what, kind::roll_back);
  EXPECT_EQ(failed.why, "version 2 failed 1 of the first 4 requests it answered");
  EXPECT_EQ(plan.canary(), 0u);
  EXPECT_EQ(next(plan, 1).what, kind::none) << "not again, while the registry still says 2";
  plan.in_use(2, 0);
  plan.promoted(1); // the registry has gone back
  EXPECT_EQ(next(plan, 1), (said{kind::free, 2}));
  EXPECT_EQ(plan.serving(), 1u);
}

TEST(version_plan_test, a_canary_that_is_taken_back_by_hand_is_let_go) {
  version_plan plan({.canary = {.percent = 50}}, 1);
  plan.promoted(2);
  (void)plan.next(at(0));
  plan.loaded(2);
  (void)plan.next(at(0));
  plan.promoted(1);
  EXPECT_EQ(next(plan), (said{kind::free, 2}));
}

TEST(version_plan_test, a_version_loaded_in_vain_makes_room_again) {
  version_plan plan({}, 1);
  plan.promoted(2);
  EXPECT_EQ(next(plan), (said{kind::load, 2}));
  plan.promoted(3);
  EXPECT_EQ(next(plan).what, kind::none) << "one is loaded at a time";
  plan.loaded(2);
  EXPECT_EQ(next(plan), (said{kind::free, 2}));
  EXPECT_EQ(next(plan), (said{kind::load, 3}));
}

// Whatever happens in whatever order: the bound on memory holds, what serves is in memory, nothing
// with streams is freed, and once all streams have ended the promoted version serves.
TEST(version_plan_test, holds_its_promises_in_any_order_of_events) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    draws draw{{.seed = seed, .subsystem = random_subsystem::workload}};
    const auto most = static_cast<uint32_t>(2 + draw.next() % 2);
    version_plan plan({.versions_max = most,
                       .way_back = seconds(3),
                       .canary = {.percent = draw.next() % 2 ? 10u : 0u, .answers_min = 1}},
                      1);
    std::map<uint64_t, uint64_t> memory{{1, 0}}; // version, streams
    uint64_t promoted = 1, loading = 0;
    const auto act = [&](int64_t now) {
      for (int guard = 0; guard < 20; ++guard) {
        const auto step = plan.next(at(now));
        if (step.what == kind::none) break;
        if (step.what == kind::load) {
          ASSERT_EQ(loading, 0u);
          ASSERT_LT(memory.size(), most);
          loading = step.version;
        }
        if (step.what == kind::free) {
          ASSERT_EQ(memory.at(step.version), 0u);
          ASSERT_NE(step.version, plan.serving());
          memory.erase(step.version);
        }
        if (step.what == kind::roll_back) promoted = plan.serving();
        ASSERT_LE(memory.size() + (loading != 0), most);
        ASSERT_EQ(memory.count(plan.serving()), 1u);
        if (plan.canary() != 0) {
          ASSERT_EQ(memory.count(plan.canary()), 1u);
        }
      }
    };
    for (int64_t now = 0; now < 200; ++now) {
      switch (draw.next() % 5) {
        case 0:
          promoted = 1 + draw.next() % 4;
          break;
        case 1:
          if (loading == 0) break;
          if (draw.next() % 4 == 0)
            plan.refused(loading, "it is damaged");
          else {
            plan.loaded(loading);
            memory[loading] = 0;
          }
          loading = 0;
          break;
        case 2:
          memory[plan.serving()] += 1;
          break;
        case 3:
          for (auto& [version, streams] : memory) streams -= std::min<uint64_t>(streams, 1);
          break;
        default:
          if (plan.canary() != 0)
            plan.counted(plan.canary(), {draw.next() % 2, draw.next() % 8 == 0});
      }
      plan.promoted(promoted);
      for (const auto& [version, streams] : memory) plan.in_use(version, streams);
      act(now);
    }
    // Everything ends, and the registry's last word is a version nobody has refused.
    promoted = 9;
    for (int64_t now = 300; now < 320; ++now) {
      plan.promoted(promoted);
      if (loading != 0) {
        plan.loaded(loading);
        memory[loading] = 0;
        loading = 0;
      }
      for (auto& [version, streams] : memory) plan.in_use(version, streams = 0);
      if (plan.canary() != 0) plan.counted(plan.canary(), {5, 0});
      act(now);
    }
    EXPECT_EQ(plan.serving(), 9u) << "seed " << seed;
    EXPECT_EQ(memory.size(), 1u) << "seed " << seed;
  }
}

} // namespace
} // namespace troupe::dataflow
