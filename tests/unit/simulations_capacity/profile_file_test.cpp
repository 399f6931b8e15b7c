// Numbers of the user's own, and what is said about wrong ones.
#include "simulations/capacity/profile_file.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

class profile_file : public testing::Test {
protected:
  status read(std::string_view toml) {
    profile_numbers numbers{device, failures, route, recovery};
    return read_profile_file(toml, "mine.toml", numbers);
  }
  device_profile device = *device_named("h100");
  failure_model failures = *failures_named("llama3");
  routing_options route;
  recovery_options recovery;
};

TEST_F(profile_file, replaces_what_it_names) {
  ASSERT_TRUE(read("[device]\nmemory_gb = 141\n[failures]\nhang_share = 0.5\n[routing]\nskew = 1\n"
                   "[recovery]\nreport_every_ms = 50\nsuspect_phi = 10\ndecide_ms = 5.5\n")
                  .ok());
  EXPECT_EQ(device.memory_gb, 141);
  EXPECT_EQ(device.memory_gb_per_s, 3350);
  EXPECT_EQ(failures.hang_share, 0.5);
  EXPECT_EQ(route.skew, 1);
  EXPECT_EQ(recovery.timing.report_every, std::chrono::milliseconds(50));
  EXPECT_EQ(recovery.timing.suspect_phi, 10u);
  EXPECT_EQ(recovery.decide_ms, 5.5);
}

TEST_F(profile_file, names_the_place_of_a_mistake) {
  EXPECT_EQ(read("[device]\nmemory_gbs = 1\n").why(),
            "mine.toml:2:1: memory_gbs is no number of [device]; did you mean memory_gb?");
  EXPECT_EQ(read("[devices]\n").why(),
            "mine.toml:1:2: devices is no table of a profile; did you mean device?");
  EXPECT_NE(read("[device]\nmemory_gb = -1\n").why().find("it must be from"), std::string::npos);
  EXPECT_NE(read("[device]\nmemory_gb = \"much\"\n").why().find("must be a number"),
            std::string::npos);
  EXPECT_FALSE(read("[device\n").ok());
  EXPECT_FALSE(read("memory_gb = 1\n").ok());
}

} // namespace
} // namespace troupe::simulations::capacity
