// Presets are whole, every number has a source, and nonsense is refused.
#include "simulations/capacity/device_profile.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

TEST(device_profile, every_number_of_a_preset_is_in_range_and_has_a_source) {
  for (const auto& name : device_names()) {
    const auto device = *device_named(name);
    EXPECT_TRUE(validate(device).ok()) << validate(device).why();
    for (const auto& field : profile_fields())
      EXPECT_FALSE(source_of(device, field).empty()) << name << " " << field.name;
  }
}

TEST(device_profile, a_changed_number_is_the_users) {
  auto device = *device_named("h100");
  const auto& field = profile_fields()[3];
  EXPECT_EQ(source_of(device, field), "H100 SXM data sheet");
  device.*field.member += 1;
  EXPECT_EQ(source_of(device, field), "set by the user");
}

TEST(device_profile, refuses_what_cannot_be) {
  auto device = *device_named("a100");
  device.memory_gb = 0;
  EXPECT_NE(validate(device).why().find("device.memory_gb is 0"), std::string::npos);
  device = *device_named("a100");
  device.devices_per_node = 1.5;
  EXPECT_FALSE(validate(device).ok());
  EXPECT_NE(device_named("h10").error().why().find("did you mean h100?"), std::string::npos);
}

} // namespace
} // namespace troupe::simulations::capacity
