// The list of cluster sizes.
#include "cli/simulate_capacity.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

TEST(simulate_capacity, reads_sizes_of_clusters) {
  EXPECT_EQ(*parse_node_counts("4"), std::vector<uint32_t>{4});
  EXPECT_EQ(*parse_node_counts("4,8,2048"), (std::vector<uint32_t>{4, 8, 2048}));
}

TEST(simulate_capacity, refuses_what_is_no_size) {
  for (const char* wrong : {"", "0", "4,", ",4", "2049", "4 8", "many", "-1"})
    EXPECT_FALSE(parse_node_counts(wrong).has_value()) << wrong;
  EXPECT_EQ(parse_node_counts("4,x").error().why(),
            "--nodes: 'x' is no number of nodes; give numbers from 1 to 2048 such as 4,8,16");
}

} // namespace
} // namespace troupe::cli
