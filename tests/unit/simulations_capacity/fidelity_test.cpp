// The generated traces meet what is published, and the statistics that say so are right.
#include "simulations/capacity/fidelity.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

class fidelity : public testing::TestWithParam<std::string> {};

TEST_P(fidelity, every_published_number_is_met) {
  const auto profile = *trace_profile_named(GetParam());
  const auto report = reference_fidelity(profile, 2);
  EXPECT_GT(report.compared(), 10u);
  for (const auto& row : report.rows) {
    if (!row.published) continue;
    EXPECT_TRUE(row.accepted) << GetParam() << ": " << row.what << " is " << row.generated
                              << ", published " << *row.published;
  }
}

INSTANTIATE_TEST_SUITE_P(traces, fidelity, testing::ValuesIn(trace_profile_names()));

std::vector<trace_request> every(nanoseconds gap, uint32_t count) {
  std::vector<trace_request> out(count);
  for (uint32_t n = 0; n < count; ++n) out[n].arrives = n * gap;
  return out;
}

TEST(fidelity_statistics, regular_arrivals_have_no_dispersion) {
  const auto requests = every(second_ns / 10, 1000);
  EXPECT_LT(count_windows(requests, 100, 1).dispersion, 0.02);
  EXPECT_LT(gap_cv(requests), 1e-6);
}

TEST(fidelity_statistics, batches_have_the_dispersion_of_their_size) {
  auto requests = every(second_ns, 100);
  for (const auto& each : every(second_ns, 100)) requests.push_back(each);
  for (auto& each : requests) each.arrives = each.arrives / (4 * second_ns) * 4 * second_ns;
  // Counts are 8, 0, 0, 0: mean 2, variance 12.
  EXPECT_NEAR(count_windows(requests, 100, 1).dispersion, 6, 0.1);
}

TEST(fidelity_statistics, distance_sees_a_wrong_distribution_and_allows_atoms) {
  const length_table table = {{0, 1}, {0.5, 10, true}, {0.9, 10, true}, {1, 100, true}};
  std::vector<uint32_t> right(100, 10);
  for (int n = 0; n < 9; ++n) right[n] = 50;
  EXPECT_LT(quantile_distance(table, right), 0.02);
  EXPECT_GT(quantile_distance(table, std::vector<uint32_t>(100, 5)), 0.05 - 1e-9);
  EXPECT_GT(quantile_distance(table, std::vector<uint32_t>(100, 50)), 0.8);
}

TEST(fidelity_statistics, prefixes_are_counted_by_blocks) {
  const session_shape shape{.common_block = true};
  std::vector<trace_request> requests(2);
  requests[0].session = 1;
  requests[0].input = 1024 + 10; // the common block, one of its own, a part
  requests[1].session = 1;
  requests[1].input = 1536; // the same two, and one more
  const auto found = prefix_of(shape, requests);
  EXPECT_NEAR(found.hit_rate, 2.0 / 6, 1e-9);
  EXPECT_NEAR(found.used_once, 2.0 / 4, 1e-9);
}

} // namespace
} // namespace troupe::simulations::capacity
