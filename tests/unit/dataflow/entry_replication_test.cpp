// To whom an entry goes, and how long its client waits for them.
#include "dataflow/entry_replication.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

using std::chrono::milliseconds;

class entry_replication_test : public ::testing::Test {
protected:
  // Node 1 of five; node 3 is away.
  entry_replication_test() { EXPECT_TRUE(it.meet({10, 11, 12, 0, 14}).empty()); }

  uint64_t begin(uint64_t bytes = 100) {
    const auto sent = it.begin(bytes, now);
    EXPECT_TRUE(sent.has_value());
    return sent ? sent->number : 0;
  }
  auto answered(uint64_t number, node_index by, bool kept = true) {
    return it.answered(number, by, kept, now);
  }
  using outcome = entry_replication::outcome;
  using outcomes = entry_replication::outcomes;

  replication_limits limits;
  entry_replication it{limits, 1};
  time_point now{};
};

TEST_F(entry_replication_test, goes_to_everybody_who_is_there_and_ends_with_the_last_answer) {
  const auto sent = it.begin(100, now);
  ASSERT_TRUE(sent.has_value());
  EXPECT_EQ(sent->to, (std::vector<node_index>{2, 4, 0}));
  EXPECT_EQ(answered(sent->number, 4), std::nullopt);
  EXPECT_EQ(answered(sent->number, 0), std::nullopt);
  EXPECT_EQ(answered(sent->number, 2), (outcome{sent->number, true}));
  EXPECT_EQ(it.next_due(), std::nullopt);
}

TEST_F(entry_replication_test, one_node_that_keeps_it_is_enough) {
  const auto number = begin();
  answered(number, 2, false);
  answered(number, 4, true);
  EXPECT_EQ(answered(number, 0, false), (outcome{number, true}));
  const auto other = begin();
  answered(other, 2, false);
  answered(other, 4, false);
  EXPECT_EQ(answered(other, 0, false), (outcome{other, false}));
}

TEST_F(entry_replication_test, nobody_waits_for_ever) {
  const auto number = begin();
  EXPECT_EQ(it.next_due(), now + limits.patience);
  now += limits.patience - milliseconds(1);
  EXPECT_TRUE(it.due(now).empty());
  now += milliseconds(1);
  EXPECT_EQ(it.due(now), (outcomes{{number, false}}));
  EXPECT_EQ(answered(number, 2), std::nullopt) << "too late";
}

TEST_F(entry_replication_test, when_one_has_it_the_others_get_a_little_more_time) {
  const auto number = begin();
  now += milliseconds(5);
  answered(number, 2);
  EXPECT_EQ(it.next_due(), now + limits.grace);
  now += limits.grace - milliseconds(1);
  answered(number, 4); // makes it no longer
  EXPECT_TRUE(it.due(now).empty());
  now += milliseconds(1);
  EXPECT_EQ(it.due(now), (outcomes{{number, true}}));
  const auto late = begin();
  const auto began = now;
  now += limits.patience - milliseconds(1);
  answered(late, 2);
  EXPECT_EQ(it.next_due(), began + limits.patience);
}

TEST_F(entry_replication_test, who_has_gone_or_started_again_is_not_waited_for) {
  const auto number = begin();
  answered(number, 4);
  EXPECT_TRUE(it.meet({10, 11, 0, 13, 14}).empty());
  EXPECT_EQ(it.meet({99, 11, 12, 13, 14}), (outcomes{{number, true}}));
  const auto unlucky = begin();
  EXPECT_EQ(it.meet({0, 11, 0, 0, 0}), (outcomes{{unlucky, false}}));
  EXPECT_EQ(it.begin(1, now), std::nullopt) << "nobody is left";
  EXPECT_EQ(it.meet({}), outcomes{});
  EXPECT_EQ(it.begin(1, now), std::nullopt);
}

TEST_F(entry_replication_test, answers_of_strangers_and_repeated_ones_change_nothing) {
  const auto number = begin();
  EXPECT_EQ(answered(number + 1, 2), std::nullopt);
  EXPECT_EQ(answered(0, 2), std::nullopt);
  EXPECT_EQ(answered(number, 3), std::nullopt);
  EXPECT_EQ(answered(number, 1), std::nullopt);
  EXPECT_EQ(answered(number, 77), std::nullopt);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(answered(number, 2), std::nullopt);
  EXPECT_EQ(answered(number, 4), std::nullopt);
  EXPECT_EQ(answered(number, 0), (outcome{number, true}));
}

TEST_F(entry_replication_test, what_is_under_way_is_bounded) {
  limits = {.peers_max = 2, .open_max = 3, .bytes_max = 1000};
  it = {limits, 1};
  it.meet(std::vector<uint64_t>(100, 7));
  EXPECT_EQ(it.begin(1001, now), std::nullopt);
  EXPECT_EQ(it.begin(900, now)->to, (std::vector<node_index>{2, 3}));
  EXPECT_EQ(it.begin(101, now), std::nullopt);
  begin(50);
  const auto third = begin(50);
  EXPECT_EQ(it.begin(0, now), std::nullopt) << "three are open";
  answered(third, 2);
  answered(third, 3);
  EXPECT_EQ(it.begin(51, now), std::nullopt);
  begin(50);
  EXPECT_EQ(it.end().size(), 3u);
  EXPECT_EQ(begin(1000), 5u) << "numbers are never used again";
}

} // namespace
} // namespace troupe::dataflow
