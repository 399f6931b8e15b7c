// How a node begins another life, whatever is left of the earlier ones.
#include "cli/node_memory.hpp"

#include "storage/node_store.hpp"
#include "storage/posix_disk.hpp"
#include "storage/vote_store.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace troupe::cli {
namespace {

class node_memory_test : public ::testing::Test {
protected:
  node_memory_test() : folder(testing::TempDir() + "troupe_memory_XXXXXX") {
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    disk = storage::posix_disk::open(folder).value();
  }
  ~node_memory_test() override {
    disk.reset();
    std::filesystem::remove_all(folder);
  }

  result<node_memory> start(bool form, bool voter = true, uint64_t wall_ms = 1000) {
    return recall(*disk, {.folder = folder, .voter = voter, .form = form, .wall_ms = wall_ms});
  }
  void vote(uint64_t round) {
    schemas::acceptor_state state;
    state.promised = {round, 0};
    ASSERT_TRUE(storage::vote_store(*disk).store(state).ok());
  }
  void spoil(const std::string& name) { std::ofstream(folder + "/" + name) << "nonsense"; }

  std::string folder;
  std::unique_ptr<storage::posix_disk> disk;
};

TEST_F(node_memory_test, incarnations_rise_with_the_time_and_without_it) {
  EXPECT_EQ(start(false, false, 1000)->incarnation, 1000u);
  EXPECT_EQ(start(false, false, 5000)->incarnation, 5000u);
  EXPECT_EQ(start(false, false, 4000)->incarnation, 5001u); // the clock was set back
  EXPECT_EQ(storage::node_store(*disk).load().value(), 5001u);
}

TEST_F(node_memory_test, a_new_voter_remembers_only_when_the_cluster_is_formed) {
  const auto joined = start(false);
  ASSERT_TRUE(joined.has_value());
  EXPECT_FALSE(joined->remembers);
  EXPECT_NE(joined->warning.find("--form"), std::string::npos);
}

TEST_F(node_memory_test, a_formed_voter_remembers_from_then_on) {
  EXPECT_TRUE(start(true)->remembers);
  EXPECT_TRUE(start(true)->remembers); // also when it is said again
  vote(7);
  const auto later = start(false);
  EXPECT_TRUE(later->remembers);
  EXPECT_EQ(later->votes.promised.round, 7u);
  EXPECT_EQ(later->warning, "");
}

TEST_F(node_memory_test, lost_votes_are_lost_whatever_the_operator_says) {
  ASSERT_TRUE(start(true).has_value());
  std::filesystem::remove(folder + "/votes");
  EXPECT_FALSE(start(false)->remembers);
  EXPECT_FALSE(start(true)->remembers); // it has lived before
}

TEST_F(node_memory_test, a_crash_between_votes_and_first_incarnation_costs_nothing) {
  ASSERT_TRUE(start(true).has_value());
  std::filesystem::remove(folder + "/incarnation");
  EXPECT_TRUE(start(false)->remembers);
}

TEST_F(node_memory_test, a_node_that_does_not_vote_has_nothing_to_remember) {
  const auto memory = start(false, false);
  EXPECT_TRUE(memory->remembers);
  EXPECT_EQ(memory->warning, "");
}

TEST_F(node_memory_test, does_not_start_with_a_memory_it_cannot_read) {
  ASSERT_TRUE(start(true).has_value());
  spoil("votes");
  auto refused = start(false);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().why().find("votes"), std::string::npos) << refused.error().why();
  EXPECT_NE(refused.error().why().find(folder), std::string::npos);
  spoil("incarnation");
  refused = start(true);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().why().find("incarnation"), std::string::npos);
}

} // namespace
} // namespace troupe::cli
