// The parts of a recovery that are worked out.
#include "simulations/capacity/recovery.hpp"

#include "tests/unit/simulations_capacity/studies.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

TEST(recovery, silence_takes_longer_to_notice_than_a_report_and_a_hang_longer_still) {
  const dataflow::cluster_timing timing;
  failure_event failure;
  failure.kind = failure_kind::node;
  const auto silence = detection_time(failure, timing, 0);
  EXPECT_GT(silence, timing.pause_allowed.count());
  EXPECT_LT(silence, second_ns);
  EXPECT_LT(detection_time(failure, timing, 0.9), silence);
  failure.kind = failure_kind::device;
  EXPECT_EQ(detection_time(failure, timing, 0), 0);
  failure.hang = true;
  EXPECT_EQ(detection_time(failure, timing, 0), timing.step_max.count());
}

class restoring : public testing::Test {
protected:
  restoring() : of(two_node_study()) {
    of.system.nodes_per_replica = 4;
    of.system.stages = 1;
  }
  // A node without the stage is lost.
  nanoseconds after_loss(uint32_t copies) {
    const auto plan = plan_of(of, 4, copies);
    std::vector<bool> serving(4, true);
    auto held = plan.initial;
    for (uint32_t node = 0; node < 4; ++node) {
      if (held.stages[0] == node || held.sequencer == node) continue;
      serving[node] = false;
      for (auto& shard : held.shards) std::erase(shard, node);
      break;
    }
    return restore_time(plan, of.recovery, held, settled_placement(plan, held, serving));
  }
  study of;
};

TEST_F(restoring, with_a_copy_nothing_is_loaded) {
  EXPECT_GT(after_loss(1), 0);
  EXPECT_EQ(after_loss(2), 0);
}

TEST_F(restoring, takes_bytes_over_bandwidth) {
  const auto plan = plan_of(of, 4, 1);
  auto held = plan.initial;
  held.shards[2].clear();
  const double s =
      plan.device.part_start_s + shard_bytes(plan, 2) / (plan.device.disk_gb_per_s * 1e9);
  EXPECT_NEAR(double(restore_time(plan, of.recovery, held, plan.initial)) / 1e9, s, 1e-6);
  of.recovery.restore_from_peer = true;
  EXPECT_LT(restore_time(plan, of.recovery, held, plan.initial), nanoseconds(s * 1e9));
  EXPECT_EQ(restore_time(plan, of.recovery, plan.initial, plan.initial), 0);
}

} // namespace
} // namespace troupe::simulations::capacity
