// Ids as people paste them.
#include "cli/tokenize.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

TEST(tokenize, reads_ids_however_they_are_separated) {
  const std::vector<int32_t> ids = {1, 2, 30};
  EXPECT_EQ(*parse_ids("1 2 30", 100), ids);
  EXPECT_EQ(*parse_ids("[1, 2,30]\n", 100), ids);
  EXPECT_TRUE(parse_ids("", 100)->empty());
}

TEST(tokenize, refuses_what_is_no_id) {
  for (const char* wrong : {"1 x", "-1", "100", "1.5", "99999999999"})
    EXPECT_FALSE(parse_ids(wrong, 100).has_value()) << wrong;
  EXPECT_EQ(parse_ids("7 100", 100).error().why(), "'100' is no token id; they go from 0 to 99");
}

} // namespace
} // namespace troupe::cli
