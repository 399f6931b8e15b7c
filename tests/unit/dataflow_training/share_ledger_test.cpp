// Every share of every step is taken once, whoever dies when; nobody gets more than the limits say.
#include "dataflow/share_ledger.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>
#include <vector>

namespace troupe::dataflow {
namespace {

using std::chrono::seconds;
using deals = std::vector<share_deal>;

constexpr share_limits limits{.dealt_max = 2, .ahead_max = 4, .patience = seconds(10)};

TEST(share_ledger, deals_the_lowest_shares_to_the_least_busy) {
  share_ledger ledger(limits);
  ledger.add_worker(1);
  ledger.add_worker(2);
  ledger.begin(7, 5);
  EXPECT_EQ(ledger.deal({}), (deals{{1, 0}, {2, 1}, {1, 2}, {2, 3}}));
  EXPECT_EQ(ledger.deal({}), deals());
  EXPECT_TRUE(ledger.take(2, 7, 1));
  EXPECT_EQ(ledger.deal({}), deals()) << "share 4 is too far beyond share 0";
  EXPECT_TRUE(ledger.take(1, 7, 0));
  EXPECT_EQ(ledger.first_missing(), 2u);
  EXPECT_EQ(ledger.deal({}), (deals{{1, 4}}));
}

TEST(share_ledger, deals_again_what_a_lost_worker_had) {
  share_ledger ledger(limits);
  ledger.add_worker(1);
  ledger.begin(7, 3);
  EXPECT_EQ(ledger.deal({}), (deals{{1, 0}, {1, 1}}));
  ledger.remove_worker(1);
  EXPECT_EQ(ledger.deal({}), deals());
  ledger.add_worker(2);
  EXPECT_EQ(ledger.deal({}), (deals{{2, 0}, {2, 1}}));
  EXPECT_EQ(ledger.dealt_again(), 2u);
}

TEST(share_ledger, takes_a_result_once_and_from_who_has_the_share) {
  share_ledger ledger(limits);
  for (worker_number worker : {1, 2}) ledger.add_worker(worker);
  ledger.begin(7, 2);
  EXPECT_EQ(ledger.deal({}), (deals{{1, 0}, {2, 1}}));
  EXPECT_FALSE(ledger.take(1, 6, 0)) << "of another step";
  EXPECT_FALSE(ledger.take(1, 7, 1)) << "another's";
  EXPECT_FALSE(ledger.take(3, 7, 0)) << "a stranger";
  EXPECT_FALSE(ledger.take(1, 7, 9)) << "no such share";
  EXPECT_TRUE(ledger.take(1, 7, 0));
  EXPECT_FALSE(ledger.take(1, 7, 0)) << "twice";
  EXPECT_FALSE(ledger.is_complete());
  EXPECT_TRUE(ledger.take(2, 7, 1));
  EXPECT_TRUE(ledger.is_complete());
}

TEST(share_ledger, names_who_keeps_a_share_too_long) {
  share_ledger ledger(limits);
  EXPECT_EQ(ledger.next_deadline(), std::nullopt);
  for (worker_number worker : {1, 2}) ledger.add_worker(worker);
  ledger.begin(7, 2);
  const time_point now{};
  ledger.deal(now);
  EXPECT_TRUE(ledger.take(2, 7, 1));
  EXPECT_EQ(ledger.next_deadline(), now + seconds(10));
  EXPECT_TRUE(ledger.overdue(now + seconds(9)).empty());
  EXPECT_EQ(ledger.overdue(now + seconds(10)), (std::vector<worker_number>{1}));
}

TEST(share_ledger, forgets_a_step_that_is_begun_anew) {
  share_ledger ledger(limits);
  ledger.add_worker(1);
  ledger.begin(7, 2);
  ledger.deal({});
  EXPECT_TRUE(ledger.take(1, 7, 0));
  ledger.begin(8, 3);
  EXPECT_FALSE(ledger.take(1, 7, 1));
  EXPECT_EQ(ledger.deal({}), (deals{{1, 0}, {1, 1}}));
}

// Three steps of seven shares by three workers, each of whom answers his oldest share, then the
// next worker his. A worker ends before event `at` and comes back under a new number `after` more
// events later, or never.
class course {
public:
  course() : ledger_(limits) {
    for (worker_number worker : {0, 1, 2}) join(worker);
  }

  uint32_t run(uint32_t at, uint32_t victim, uint32_t after) {
    uint32_t event = 0;
    for (uint64_t step = 0; step < 3; ++step) {
      std::vector<uint32_t> taken(7);
      ledger_.begin(step, 7);
      while (!ledger_.is_complete()) {
        if (event == at) leave(victim);
        if (event == at + after) join(victim + 10);
        ++event;
        hand_out(step);
        answer(taken);
        if (event > 1000) return event; // no end
      }
      EXPECT_EQ(taken, std::vector<uint32_t>(7, 1)) << "step " << step;
    }
    return event;
  }

private:
  struct work {
    uint64_t step = 0;
    uint32_t share = 0;
  };

  void join(worker_number worker) {
    ledger_.add_worker(worker);
    inboxes_[worker] = {};
  }
  // What was under way from the dead still arrives.
  void leave(worker_number worker) {
    ledger_.remove_worker(worker);
    late_ = {worker, inboxes_[worker]};
    inboxes_.erase(worker);
  }
  void hand_out(uint64_t step) {
    for (const auto& [worker, share] : ledger_.deal({})) {
      auto& inbox = inboxes_.at(worker);
      inbox.push_back({step, share});
      EXPECT_LE(inbox.size(), limits.dealt_max);
      EXPECT_LT(share - ledger_.first_missing(), limits.ahead_max);
    }
  }
  void answer(std::vector<uint32_t>& taken) {
    for (const auto& one : std::exchange(late_.second, {}))
      EXPECT_FALSE(ledger_.take(late_.first, one.step, one.share));
    auto next = inboxes_.upper_bound(last_);
    for (size_t i = 0; i <= inboxes_.size(); ++i, ++next) {
      if (next == inboxes_.end()) next = inboxes_.begin();
      if (!next->second.empty()) break;
    }
    if (next->second.empty()) return;
    last_ = next->first;
    const auto one = next->second.front();
    next->second.pop_front();
    if (ledger_.take(next->first, one.step, one.share)) ++taken[one.share];
  }

  share_ledger ledger_;
  std::map<worker_number, std::deque<work>> inboxes_;
  std::pair<worker_number, std::deque<work>> late_;
  worker_number last_ = 0;
};

TEST(share_ledger, loses_no_share_whoever_dies_at_whatever_event_of_three_steps) {
  const uint32_t undisturbed = course().run(UINT32_MAX, 0, 0);
  ASSERT_EQ(undisturbed, 21u);
  for (uint32_t at = 0; at < undisturbed; ++at) {
    for (uint32_t victim = 0; victim < 3; ++victim) {
      for (const uint32_t after : {0u, 1u, 5u, 10'000u}) {
        SCOPED_TRACE(testing::Message()
                     << victim << " ends before event " << at << ", back after " << after);
        EXPECT_LT(course().run(at, victim, after), 40u);
      }
    }
  }
}

} // namespace
} // namespace troupe::dataflow
