// Batch lists, medians and the two forms of the report.
#include "cli/bench.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

TEST(bench_report, reads_a_list_of_batches) {
  EXPECT_EQ(*parse_batches("1,4,16"), (std::vector<uint32_t>{1, 4, 16}));
  EXPECT_EQ(*parse_batches("8"), std::vector<uint32_t>{8});
  for (const char* wrong : {"0", "1,,2", "1,", "a", "4097", "1 2"})
    EXPECT_FALSE(parse_batches(wrong).has_value()) << wrong;
  EXPECT_EQ(*parse_batches("", "all"), std::vector<uint32_t>{1});
  EXPECT_EQ(*parse_batches("", "batch"), (std::vector<uint32_t>{1, 2, 4, 8, 16, 32}));
  EXPECT_EQ(*parse_batches("3", "batch"), std::vector<uint32_t>{3});
}

TEST(bench_report, the_median_is_in_the_middle) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
}

TEST(bench_report, prints_every_row_with_its_spread) {
  bench_row row;
  row.test = "pp512";
  row.batch = 4;
  row.tokens = 2048;
  row.tokens_per_s = {100, 300, 200};
  bench_report report;
  report.model = "tales";
  report.format = "int8";
  report.device = "cpu";
  report.checked_sequences = 4;
  report.rows = {row};
  const std::string table = report_table(report);
  for (const char* part :
       {"tales", "int8", "pp512", "2048", "200.0", "100.0", "300.0", "4 sequences"})
    EXPECT_NE(table.find(part), std::string::npos) << part << " in " << table;
  const std::string json = report_json(report);
  EXPECT_NE(json.find("\"median_tokens_per_s\": 200.0"), std::string::npos) << json;
}

TEST(bench_report, tells_shares_of_the_limits_and_of_the_time) {
  bench_row row;
  row.test = "tg8";
  row.tokens_per_s = {10};
  row.read_share = {0.5, 0.75, 0.25};
  row.integer_share = {0.125};
  row.limits = {{.read_bytes_per_s = 20e9, .int8_operations_per_s = 900e9}};
  row.time.computing[static_cast<size_t>(compute::part::experts)] = std::chrono::milliseconds(300);
  row.time.between = std::chrono::milliseconds(100);
  row.time.weight_bytes = 4'000'000'000;
  row.tokens_timed = 4;
  bench_report report;
  report.rows = {row};
  const std::string table = report_table(report);
  for (const char* part : {"50.0%", "12.5%", "20.0", "900.0", "75.0%", "25.0%", "100000.0", "10.0"})
    EXPECT_NE(table.find(part), std::string::npos) << part << " in " << table;
  const std::string json = report_json(report);
  for (const char* part : {"\"share_of_read\": 0.5", "\"messages\": 0.25", "\"experts\": 0.7",
                           "\"weights_read_bytes_per_s\": 10000000000.0"})
    EXPECT_NE(json.find(part), std::string::npos) << part << " in " << json;
}

TEST(bench_report, shares_of_time_add_up_to_all_of_it) {
  compute::meter_reading time;
  for (auto& each : time.computing) each = duration(3);
  time.waiting = duration(2);
  time.between = duration(5);
  double sum = 0;
  for (const auto& each : time_shares(time)) sum += each.share;
  EXPECT_NEAR(sum, 1, 1e-12);
  for (const auto& each : time_shares({})) EXPECT_EQ(each.share, 0);
}

} // namespace
} // namespace troupe::cli
