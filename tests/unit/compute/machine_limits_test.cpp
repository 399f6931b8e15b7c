// The probe of the machine's limits.
#include "compute/machine_limits.hpp"

#include <gtest/gtest.h>

namespace troupe::compute {
namespace {

TEST(machine_limits, are_measured_with_the_kernels_asked_for) {
  const system_clock time;
  for (const auto set :
       {instruction_set::reference, instruction_set::avx2, instruction_set::avx512}) {
    if (!supported(set)) continue;
    const auto probe = limit_probe::make({.threads = 2, .set = set}, time);
    ASSERT_TRUE(probe.has_value());
    const auto limits = (*probe)->measure();
    EXPECT_GT(limits.read_bytes_per_s, 1e8) << to_string(set);
    if (set == instruction_set::reference)
      EXPECT_EQ(limits.int8_operations_per_s, 0);
    else
      EXPECT_GT(limits.int8_operations_per_s, 1e9) << to_string(set);
  }
}

} // namespace
} // namespace troupe::compute
