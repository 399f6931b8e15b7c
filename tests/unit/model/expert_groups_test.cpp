// Sorting choices by expert.
#include "model/expert_groups.hpp"

#include <gtest/gtest.h>

namespace troupe::model {
namespace {

TEST(expert_grouping, gives_each_expert_one_ascending_run) {
  const std::vector<int32_t> ids = {2, 0, /**/ 3, 2, /**/ 0, 2};
  const auto out = group_by_expert(ids, 2, 5);
  ASSERT_EQ(out.groups.size(), 3u);
  EXPECT_EQ(out.groups[0].expert, 0u);
  EXPECT_EQ(out.groups[1].expert, 2u);
  EXPECT_EQ(out.groups[2].expert, 3u);
  EXPECT_EQ(out.groups[1].begin, 2u);
  EXPECT_EQ(out.groups[1].end, 5u);
  EXPECT_EQ(out.rows, (std::vector<uint32_t>{0, 2, 0, 1, 2, 1}));
  EXPECT_EQ(out.slots, (std::vector<uint32_t>{2, 0, 5, 3, 1, 4}));
}

TEST(expert_grouping, sends_every_choice_back_to_its_row) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 90; ++i) ids.push_back(i * 7 % 13);
  const auto out = group_by_expert(ids, 3, 13);
  for (uint32_t i = 0; i < ids.size(); ++i) EXPECT_EQ(out.rows[out.slots[i]], i / 3);
  EXPECT_TRUE(group_by_expert({}, 3, 13).groups.empty());
}

} // namespace
} // namespace troupe::model
