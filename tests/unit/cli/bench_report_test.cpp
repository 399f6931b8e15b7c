// Batch lists, medians and the two forms of the report.
#include "cli/bench.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

TEST(bench_report, reads_a_list_of_batches) {
  EXPECT_EQ(*parse_batches("1,4,16"), (std::vector<uint32_t>{1, 4, 16}));
  EXPECT_EQ(*parse_batches("8"), std::vector<uint32_t>{8});
  for (const char* wrong : {"", "0", "1,,2", "1,", "a", "4097", "1 2"})
    EXPECT_FALSE(parse_batches(wrong).has_value()) << wrong;
}

TEST(bench_report, the_median_is_in_the_middle) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
}

TEST(bench_report, prints_every_row_with_its_spread) {
  const bench_report report{
      .model = "tales",
      .format = "int8",
      .device = "cpu",
      .checked_sequences = 4,
      .rows = {{.test = "pp512", .batch = 4, .tokens = 2048, .tokens_per_s = {100, 300, 200}}}};
  const std::string table = report_table(report);
  for (const char* part :
       {"tales", "int8", "pp512", "2048", "200.0", "100.0", "300.0", "4 sequences"})
    EXPECT_NE(table.find(part), std::string::npos) << part << " in " << table;
  const std::string json = report_json(report);
  EXPECT_NE(json.find("\"median_tokens_per_s\": 200.0"), std::string::npos) << json;
}

} // namespace
} // namespace troupe::cli
