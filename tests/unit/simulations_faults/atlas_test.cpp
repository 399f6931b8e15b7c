// What may be destroyed and what not.
#include "simulations/faults/atlas.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations {
namespace {

const std::vector<bool> all_up(5, true);

atlas of_five(bool survivable = true, uint32_t voters = 3, uint32_t doors = 0) {
  return atlas({.nodes = 5, .voters = voters, .doors = doors, .survivable = survivable});
}

TEST(atlas, a_minority_of_the_voters_may_be_gone_for_good) {
  atlas map = of_five();
  EXPECT_TRUE(map.allow_gone({0}));
  EXPECT_TRUE(map.allow_gone({0})) << "it is gone already";
  EXPECT_FALSE(map.allow_gone({1}));
  EXPECT_TRUE(map.allow_gone({3, 4})) << "no voters";
}

TEST(atlas, several_at_once_count_together) {
  EXPECT_FALSE(of_five().allow_gone({0, 1}));
  EXPECT_TRUE(of_five(true, 5).allow_gone({0, 1}));
  EXPECT_FALSE(of_five(true, 5).allow_gone({0, 1, 2}));
}

TEST(atlas, a_refusal_is_not_remembered) {
  atlas map = of_five();
  EXPECT_FALSE(map.allow_gone({0, 1}));
  EXPECT_TRUE(map.allow_gone({2}));
}

TEST(atlas, one_door_stays) {
  atlas map = of_five(true, 1, 2);
  EXPECT_FALSE(map.allow_gone({0, 1}));
  atlas other = of_five(true, 3, 1);
  EXPECT_FALSE(other.allow_gone({0}));
}

TEST(atlas, a_minority_of_the_voters_may_lose_memory_in_a_whole_run) {
  atlas map = of_five();
  EXPECT_TRUE(map.allow_memory_loss(0, all_up));
  EXPECT_TRUE(map.allow_memory_loss(0, all_up)) << "it is the same voter";
  EXPECT_FALSE(map.allow_memory_loss(1, all_up));
  EXPECT_TRUE(map.allow_memory_loss(4, all_up)) << "no voter";
  EXPECT_EQ(map.forgetful(), std::vector<uint32_t>({0}));
}

TEST(atlas, memory_is_lost_only_while_all_other_voters_are_at_work) {
  EXPECT_FALSE(of_five().allow_memory_loss(0, {true, false, true, true, true}));
  EXPECT_TRUE(of_five().allow_memory_loss(0, {false, true, true, false, false}));
}

TEST(atlas, gone_and_forgetful_voters_count_together) {
  atlas map = of_five();
  EXPECT_TRUE(map.allow_gone({0}));
  EXPECT_FALSE(map.allow_memory_loss(1, all_up));
  atlas other = of_five();
  EXPECT_TRUE(other.allow_memory_loss(1, all_up));
  EXPECT_FALSE(other.allow_gone({0}));
  EXPECT_TRUE(other.allow_gone({1})) << "it does not count twice";
}

TEST(atlas, a_single_voter_never_forgets) {
  EXPECT_FALSE(of_five(true, 1).allow_memory_loss(0, all_up));
}

TEST(atlas, a_voter_whose_disk_has_lied_loses_no_power) {
  atlas map = of_five();
  EXPECT_EQ(map.soften(0, crash_fate::tear), crash_fate::tear);
  map.note_lies(0);
  map.note_lies(4);
  EXPECT_EQ(map.soften(0, crash_fate::drop_unsynced), crash_fate::keep_all);
  EXPECT_EQ(map.soften(4, crash_fate::drop_unsynced), crash_fate::drop_unsynced) << "no voter";
}

TEST(atlas, runs_that_need_not_survive_lose_anything) {
  atlas map = of_five(false);
  map.note_lies(0);
  EXPECT_TRUE(map.allow_gone({0, 1, 2, 3, 4}));
  EXPECT_TRUE(map.allow_memory_loss(0, {false, false, false, false, false}));
  EXPECT_TRUE(map.allow_memory_loss(1, all_up));
  EXPECT_EQ(map.soften(0, crash_fate::tear), crash_fate::tear);
}

} // namespace
} // namespace troupe::simulations
