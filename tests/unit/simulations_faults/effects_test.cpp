// Faults that lie on the same thing end one by one without undoing each other.
#include "simulations/faults/effects.hpp"

#include <gtest/gtest.h>

#include "tests/unit/simulations_faults/fake_surface.hpp"

namespace troupe::simulations {
namespace {

class effects_test : public ::testing::Test {
protected:
  fake_surface surface{4};
  effects force{surface};
};

TEST_F(effects_test, links_are_bent_together_and_restored_in_any_order) {
  auto& link = surface.network().link(1, 2);
  const auto delay = link.delay_mean;
  const auto slow = force.on_link(1, 2, [](link_quality& q) { q.delay_mean += duration(5); });
  const auto lossy = force.on_link(1, 2, [](link_quality& q) { q.loss_ppm = 7; });
  EXPECT_EQ(link.delay_mean, delay + duration(5));
  EXPECT_EQ(link.loss_ppm, 7u);
  force.drop(slow);
  EXPECT_EQ(link.delay_mean, delay);
  EXPECT_EQ(link.loss_ppm, 7u);
  force.drop(lossy);
  EXPECT_EQ(link.loss_ppm, 0u);
  force.drop(lossy);
  EXPECT_EQ(surface.network().link(2, 1).loss_ppm, 0u);
}

TEST_F(effects_test, a_node_runs_again_after_the_last_pause) {
  const auto first = force.on_pause(2), second = force.on_pause(2);
  force.drop(first);
  EXPECT_TRUE(surface.paused(2));
  EXPECT_TRUE(force.paused(2));
  force.drop(second);
  EXPECT_FALSE(surface.paused(2));
}

TEST_F(effects_test, a_process_that_ends_stands_still_no_longer) {
  const auto pause = force.on_pause(2);
  force.process_ends(2);
  EXPECT_FALSE(surface.paused(2));
  surface.done.clear();
  force.drop(pause);
  EXPECT_TRUE(surface.done.empty()) << "the next process is none of its business";
}

TEST_F(effects_test, devices_disks_clocks_and_costs_are_composed) {
  const auto a = force.on_clock(1, [](clock_fault& c) { c.drift_ppm += 10; });
  force.on_clock(1, [](clock_fault& c) { c.drift_ppm += 5; });
  EXPECT_EQ(surface.clock_of(1).drift_ppm, 15);
  force.drop(a);
  EXPECT_EQ(surface.clock_of(1).drift_ppm, 5);
  const auto cost = force.on_messages(1, duration(9));
  force.on_messages(1, duration(4));
  EXPECT_EQ(surface.cost_of(1), duration(9));
  force.drop(cost);
  EXPECT_EQ(surface.cost_of(1), duration(4));
  const auto hung = force.on_device(0, [](device_quality& d) { d.hung = true; });
  EXPECT_TRUE(surface.device(0).hung);
  force.drop(hung);
  EXPECT_FALSE(surface.device(0).hung);
  const auto lies = force.on_disk(3, [](disk_quality& d) { d.sync_lies = true; });
  EXPECT_TRUE(surface.disk(3).quality().sync_lies);
  EXPECT_TRUE(force.lies(3));
  force.drop(lies);
  EXPECT_FALSE(force.lies(3));
}

TEST_F(effects_test, a_core_is_freed_and_what_touches_others_stays) {
  const auto cut = [](link_quality& q) { q.cut = true; };
  force.on_link(0, 1, cut);
  force.on_link(1, 2, cut);
  force.on_device(2, [](device_quality& d) { d.lost = true; });
  force.on_device(0, [](device_quality& d) { d.lost = true; });
  force.drop_within({true, true, false, false});
  EXPECT_FALSE(surface.network().link(0, 1).cut);
  EXPECT_TRUE(surface.network().link(1, 2).cut);
  EXPECT_FALSE(surface.device(0).lost);
  EXPECT_TRUE(surface.device(2).lost);
}

} // namespace
} // namespace troupe::simulations
