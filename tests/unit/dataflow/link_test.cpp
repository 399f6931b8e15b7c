// A link delivers everything once and in order whatever the network does, within its bounds.
#include "dataflow/link.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace troupe::dataflow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using sender = link_sender<int>;
using receiver = link_receiver<int>;

time_point at(int64_t ms) {
  return time_point{} + milliseconds(ms);
}

TEST(link_test, gives_numbers_and_takes_credit_back_with_acknowledgements) {
  sender out({.frames_max = 2});
  EXPECT_EQ(out.offer(10, 1, at(0)).value(), 1u);
  EXPECT_EQ(out.offer(11, 1, at(0)).value(), 2u);
  EXPECT_EQ(out.credit(), 0u);
  EXPECT_EQ(out.offer(12, 1, at(0)).error().code(), status_code::exhausted);
  out.acknowledge(3, at(1)); // never offered
  EXPECT_EQ(out.under_way(), 2u);
  out.acknowledge(1, at(1));
  out.acknowledge(1, at(1)); // repeated
  EXPECT_EQ(out.credit(), 1u);
  EXPECT_EQ(out.offer(12, 1, at(1)).value(), 3u);
  out.acknowledge(3, at(2));
  EXPECT_EQ(out.credit(), 2u);
  EXPECT_FALSE(out.next_due().has_value());
}

TEST(link_test, bytes_bound_too_and_a_giant_goes_alone) {
  sender out({.bytes_max = 100});
  EXPECT_TRUE(out.offer(1, 60, at(0)).has_value());
  EXPECT_FALSE(out.takes(41));
  EXPECT_FALSE(out.offer(2, 41, at(0)).has_value());
  EXPECT_TRUE(out.takes(40));
  EXPECT_TRUE(out.offer(2, 40, at(0)).has_value());
  EXPECT_EQ(out.bytes_under_way(), 100u);
  EXPECT_EQ(out.credit(), 0u);
  out.acknowledge(2, at(0));
  EXPECT_TRUE(out.takes(1000));
  EXPECT_TRUE(out.offer(3, 1000, at(0)).has_value());
  EXPECT_EQ(out.credit(), 0u);
  EXPECT_FALSE(out.offer(4, 1, at(0)).has_value());
  out.acknowledge(3, at(0));
  EXPECT_EQ(out.credit(), 256u);
}

TEST(link_test, resends_the_oldest_ever_more_rarely_until_something_is_acknowledged) {
  sender out(
      {.resend_after = milliseconds(60), .resend_max = milliseconds(300), .resend_burst = 2});
  for (int n = 0; n < 3; ++n) ASSERT_TRUE(out.offer(n, 1, at(0)).has_value());
  int64_t now = 0;
  for (const int64_t gap : {60, 120, 240, 300, 300}) {
    EXPECT_EQ(out.next_due(), at(now + gap));
    EXPECT_TRUE(out.overdue(at(now + gap - 1)).empty());
    now += gap;
    const auto again = out.overdue(at(now));
    ASSERT_EQ(again.size(), 2u); // the burst
    EXPECT_EQ(again[0].first, 1u);
    EXPECT_EQ(again[1].first, 2u);
    EXPECT_EQ(*again[1].second, 1);
  }
  EXPECT_EQ(out.resent(), 10u);
  out.acknowledge(2, at(now + 5));
  EXPECT_EQ(out.next_due(), at(now + 65));
  EXPECT_EQ(out.overdue(at(now + 65)).at(0).first, 3u);
}

TEST(link_test, a_frame_just_sent_is_not_sent_again_with_an_old_one) {
  sender out({.resend_after = milliseconds(60)});
  ASSERT_TRUE(out.offer(0, 1, at(0)).has_value());
  ASSERT_TRUE(out.offer(1, 1, at(50)).has_value());
  EXPECT_EQ(out.overdue(at(60)).size(), 1u);
}

TEST(link_test, early_frames_wait_and_repeated_ones_are_told) {
  receiver in({.frames_max = 3});
  EXPECT_EQ(in.receive(2, 20), receiver::verdict::kept);
  EXPECT_EQ(in.front(), nullptr);
  EXPECT_EQ(in.receive(2, 21), receiver::verdict::repeated);
  EXPECT_EQ(in.receive(4, 40), receiver::verdict::beyond_window);
  EXPECT_EQ(in.acknowledgement(), 0u);
  EXPECT_EQ(in.receive(1, 10), receiver::verdict::kept);
  EXPECT_EQ(in.acknowledgement(), 0u); // kept is not taken
  EXPECT_EQ(*in.front(), 10);
  EXPECT_EQ(in.take(), 10);
  EXPECT_EQ(in.acknowledgement(), 1u);
  EXPECT_EQ(in.take(), 20);
  EXPECT_EQ(in.receive(1, 11), receiver::verdict::repeated);
  EXPECT_EQ(in.front(), nullptr);
  EXPECT_EQ(in.acknowledgement(), 2u);
}

TEST(link_test, carries_what_can_only_be_moved) {
  link_sender<std::unique_ptr<int>> out({});
  ASSERT_TRUE(out.offer(std::make_unique<int>(5), 4, at(0)).has_value());
  EXPECT_EQ(**out.overdue(at(60)).at(0).second, 5);
  link_receiver<std::unique_ptr<int>> in({});
  in.receive(1, std::make_unique<int>(6));
  EXPECT_EQ(*in.take(), 6);
}

// Both directions of a link over a channel that loses, repeats and reorders.
class lossy_run {
public:
  explicit lossy_run(uint64_t seed)
      : key_{seed, random_subsystem::faults, 0},
        limits_{.frames_max = static_cast<uint32_t>(1 + below(12)), .bytes_max = 50 + below(200)},
        loss_(below(50)),
        receiver_pauses_(below(2) == 0),
        sides_{side(limits_), side(limits_)} {}

  void run() {
    for (int ms = 0; ms < 60'000 && !done(); ++ms) {
      now_ = at(ms);
      for (uint32_t s = 0; s < 2; ++s) step(s);
      deliver();
      if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_TRUE(done());
    for (auto& s : sides_) EXPECT_EQ(s.out.under_way(), 0u);
  }

private:
  static constexpr int frames = 150;
  struct side {
    explicit side(const link_limits& limits) : out(limits), in(limits) {}
    sender out;
    receiver in;
    int offered = 0;
    int taken = 0;
  };
  struct packet {
    uint32_t target;
    uint64_t number; // 0: only an acknowledgement
    int value;
    uint64_t ack;
  };

  uint64_t below(uint64_t bound) { return random_below(key_, draws_++, bound); }
  bool done() const {
    for (const auto& s : sides_)
      if (s.taken < frames || s.out.under_way() > 0) return false;
    return true;
  }

  void send(uint32_t source, uint64_t number, int value) {
    const packet p{1 - source, number, value, sides_[source].in.acknowledgement()};
    for (uint64_t copies = below(10) == 0 ? 2 : 1; copies > 0; --copies)
      if (below(100) >= loss_) channel_.emplace(now_ + milliseconds(below(40)), p);
  }

  void step(uint32_t at_side) {
    side& s = sides_[at_side];
    if (s.offered < frames && below(3) == 0) {
      const uint64_t bytes = below(60);
      const auto number = s.out.offer(s.offered, bytes, now_);
      if (number) {
        ASSERT_EQ(*number, static_cast<uint64_t>(++s.offered));
        send(at_side, *number, s.offered - 1);
      }
    }
    ASSERT_LE(s.out.under_way(), limits_.frames_max);
    ASSERT_LE(s.in.waiting(), limits_.frames_max);
    for (const auto& [number, frame] : s.out.overdue(now_)) send(at_side, number, *frame);
    while (s.in.front() != nullptr && !(receiver_pauses_ && below(20) != 0)) {
      ASSERT_EQ(s.in.take(), s.taken++); // once and in order
      send(at_side, 0, 0);
    }
  }

  void deliver() {
    while (!channel_.empty() && channel_.begin()->first <= now_) {
      const packet p = channel_.begin()->second;
      channel_.erase(channel_.begin());
      side& s = sides_[p.target];
      s.out.acknowledge(p.ack, now_);
      if (p.number == 0) continue;
      ASSERT_NE(s.in.receive(p.number, p.value), receiver::verdict::beyond_window);
      send(p.target, 0, 0);
    }
  }

  random_key key_;
  uint64_t draws_ = 0;
  link_limits limits_;
  uint64_t loss_; // percent
  bool receiver_pauses_;
  time_point now_{};
  side sides_[2];
  std::multimap<time_point, packet> channel_;
};

TEST(link_test, delivers_all_once_and_in_order_over_any_network) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    lossy_run(seed).run();
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

} // namespace
} // namespace troupe::dataflow
