// Addresses, patience, and which of two sessions stays.
#include "transport/session/peer_book.hpp"

#include "transport/session/rivalry.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe::transport {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

class peer_book_test : public testing::Test {
protected:
  std::string due() {
    std::string out;
    for (const auto& each : book_.due(now_)) out += each.key + "@" + each.address + " ";
    return out;
  }

  time_point now_{};
  peer_book book_{{"me", 1},
                  {.redial_first = milliseconds(50),
                   .redial_max = milliseconds(400),
                   .forget_after = minutes(10),
                   .peers_max = 4}};
};

TEST_F(peer_book_test, dials_what_it_was_told_but_not_itself) {
  book_.configure("a", "h:1", now_);
  book_.configure("", "h:2", now_);
  book_.configure("me", "h:3", now_);
  EXPECT_EQ(due(), "a@h:1 h:2@h:2 ");
  EXPECT_EQ(due(), ""); // under way
}

TEST_F(peer_book_test, waits_longer_after_every_failure_up_to_a_bound) {
  book_.configure("a", "h:1", now_);
  for (const int wait : {50, 100, 200, 400, 400, 400}) {
    ASSERT_EQ(due(), "a@h:1 ");
    book_.failed("a", now_);
    EXPECT_EQ(book_.next_due(), now_ + milliseconds(wait));
    now_ += milliseconds(wait - 1);
    EXPECT_EQ(due(), "");
    now_ += milliseconds(1);
  }
}

TEST_F(peer_book_test, knows_the_highest_incarnation_that_was_proven_of_a_peer_it_has_met) {
  ASSERT_TRUE(book_.came_up({"a", 3}, "h:1", now_));
  book_.proven({"a", 5}); // and its session is lost before it is up
  EXPECT_EQ(book_.highest("a"), 5u);
  book_.proven({"a", 4});
  EXPECT_EQ(book_.highest("a"), 5u);
  book_.proven({"b", 9}); // nothing is kept of strangers to the book
  EXPECT_EQ(book_.highest("b"), std::nullopt);
}

TEST_F(peer_book_test, dials_a_peer_that_went_down_and_not_one_that_is_up) {
  book_.configure("a", "h:1", now_);
  due();
  ASSERT_TRUE(book_.came_up({"a", 3}, "h:9", now_));
  EXPECT_EQ(book_.next_due(), std::nullopt);
  book_.went_down("a", now_);
  now_ += milliseconds(50);
  EXPECT_EQ(due(), "a@h:9 "); // where it said it is
  EXPECT_EQ(book_.highest("a"), 3u);
}

TEST_F(peer_book_test, an_address_gets_its_name_when_somebody_answers) {
  book_.configure("", "h:2", now_);
  due();
  book_.resolved("h:2", "b");
  book_.came_up({"b", 1}, "h:2", now_);
  EXPECT_EQ(book_.size(), 1u);
  EXPECT_EQ(book_.entries(), (std::vector<book_entry>{{{"b", 1}, "h:2"}}));
}

TEST_F(peer_book_test, its_own_address_among_the_settings_goes) {
  book_.configure("", "h:2", now_);
  due();
  book_.resolved("h:2", "me");
  EXPECT_EQ(book_.size(), 0u);
}

TEST_F(peer_book_test, hears_of_others_and_of_newer_addresses) {
  EXPECT_TRUE(book_.hear({{"a", 5}, "h:1"}, now_));
  EXPECT_FALSE(book_.hear({{"me", 5}, "h:1"}, now_));
  EXPECT_FALSE(book_.hear({{"a", 4}, "h:0"}, now_)); // older
  EXPECT_TRUE(book_.hear({{"a", 6}, "h:6"}, now_));
  EXPECT_EQ(due(), "a@h:6 ");
  EXPECT_TRUE(book_.entries().empty()); // only said, never met: not passed on
}

TEST_F(peer_book_test, is_bounded) {
  for (const char* name : {"a", "b", "c", "d"}) EXPECT_TRUE(book_.hear({{name, 1}, "h:1"}, now_));
  EXPECT_FALSE(book_.hear({{"e", 1}, "h:1"}, now_));
  EXPECT_FALSE(book_.came_up({"e", 1}, "h:1", now_));
  EXPECT_TRUE(book_.came_up({"a", 1}, "h:1", now_));
}

TEST_F(peer_book_test, forgets_those_that_only_others_named) {
  book_.configure("a", "h:1", now_);
  book_.hear({{"b", 1}, "h:2"}, now_);
  due();
  book_.failed("a", now_);
  book_.failed("b", now_);
  now_ += minutes(11);
  EXPECT_EQ(due(), "a@h:1 ");
  EXPECT_EQ(book_.size(), 1u);
}

session_verdict judged(const rivalry& facts) {
  return judge(facts);
}

rivalry asks(const std::string& self, const std::string& peer, uint64_t incarnation) {
  rivalry out;
  out.self = {self, 1};
  out.peer = {peer, incarnation};
  return out;
}

TEST(rivalry_test, judges_incarnations_first) {
  auto facts = asks("b", "a", 3);
  EXPECT_EQ(judged(facts), session_verdict::accepted);
  facts.highest = 4;
  EXPECT_EQ(judged(facts), session_verdict::stale);
  facts.highest = 2;
  facts.up = 2;
  EXPECT_EQ(judged(facts), session_verdict::accepted);
  EXPECT_EQ(judged(asks("a", "a", 9)), session_verdict::own_name);
}

TEST(rivalry_test, of_two_requests_at_once_the_smaller_names_own_stays) {
  auto at_a = asks("a", "b", 1), at_b = asks("b", "a", 1);
  at_a.closing_by_us = 1;
  at_b.closing_by_us = 1;
  EXPECT_EQ(judged(at_a), session_verdict::duplicate);
  EXPECT_EQ(judged(at_b), session_verdict::accepted);
  at_a.closing_by_us.reset();
  at_a.up = 1;
  at_a.up_by_us = true;
  EXPECT_EQ(judged(at_a), session_verdict::duplicate);
  at_a.up_by_us = false; // b made it, b asks anew: b has lost it
  EXPECT_EQ(judged(at_a), session_verdict::accepted);
  at_a.closing_by_us = 1;
  at_a.peer.incarnation = 2; // another start of b than the one we ask
  EXPECT_EQ(judged(at_a), session_verdict::accepted);
}

} // namespace
} // namespace troupe::transport
