// Histograms: the right bucket, sums, quantiles.
#include "dataflow/latency.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace troupe::dataflow {
namespace {

const std::vector<double> bounds = {1, 2, 4};

TEST(histogram_counter_test, a_value_on_a_bound_counts_below_it) {
  histogram_counter histogram(bounds);
  for (const double value : {0.0, 1.0, 1.5, 2.0, 4.0, 4.1, 100.0}) histogram.add(value);
  EXPECT_EQ(histogram.buckets(), (std::vector<uint64_t>{2, 2, 1, 2}));
  EXPECT_EQ(histogram.count(), 7u);
  EXPECT_DOUBLE_EQ(histogram.sum(), 112.6);
}

TEST(histogram_counter_test, ignores_what_is_no_number) {
  histogram_counter histogram(bounds);
  histogram.add(std::nan(""));
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.sum(), 0);
  EXPECT_EQ(histogram.quantile(0.5), 0);
}

TEST(histogram_counter_test, quantiles_interpolate_within_a_bucket) {
  histogram_counter histogram(bounds);
  for (int n = 0; n < 10; ++n) histogram.add(1.5);
  EXPECT_DOUBLE_EQ(histogram.quantile(0.5), 1.5);
  EXPECT_DOUBLE_EQ(histogram.quantile(1), 2);
  for (int n = 0; n < 10; ++n) histogram.add(3);
  EXPECT_DOUBLE_EQ(histogram.quantile(0.75), 3);
  EXPECT_DOUBLE_EQ(histogram.quantile(0.25), 1.5);
  for (int n = 0; n < 100; ++n) histogram.add(50);
  EXPECT_DOUBLE_EQ(histogram.quantile(0.9), 4);
}

TEST(histogram_counter_test, every_table_of_bounds_ascends) {
  for (const auto table :
       {first_token_bounds(), inter_token_bounds(), request_bounds(), step_token_bounds()}) {
    ASSERT_GT(table.size(), 5u);
    for (size_t n = 1; n < table.size(); ++n) EXPECT_LT(table[n - 1], table[n]);
    EXPECT_EQ(histogram_counter(table).buckets().size(), table.size() + 1);
  }
}

TEST(histogram_counter_death_test, refuses_bounds_that_do_not_ascend) {
  const std::vector<double> twice = {1, 1};
  EXPECT_DEATH(histogram_counter{twice}, "bounds_");
}

} // namespace
} // namespace troupe::dataflow
