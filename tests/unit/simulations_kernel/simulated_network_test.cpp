// The network: order, delay, loss, cuts, damage, restarts, credit.
#include "simulations/seams/simulated_network.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

namespace troupe::simulations {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr time_point never = time_point::max();

struct arrival {
  uint32_t number = 0;
  time_point when{};
  uint64_t incarnation = 0;
  size_t bytes = 0;
};

struct inbox final : transport::endpoint_listener {
  explicit inbox(world& home) : in(home) {}
  void frame_received(const transport::node_identity& from, std::span<const std::byte> header,
                      std::span<const std::byte> payload) override {
    arrival a{UINT32_MAX, in.now(), from.incarnation, header.size() + payload.size()};
    if (header.size() == sizeof a.number) std::memcpy(&a.number, header.data(), sizeof a.number);
    got.push_back(a);
    for (const auto b : payload) ones += std::popcount(static_cast<unsigned>(b));
  }
  void peer_up(const transport::node_identity&) override { FAIL(); }
  void peer_down(const transport::node_identity& peer) override { gone.push_back(peer); }
  std::vector<uint32_t> numbers() const {
    std::vector<uint32_t> out;
    for (const auto& a : got) out.push_back(a.number);
    return out;
  }

  world& in;
  std::vector<arrival> got;
  std::vector<transport::node_identity> gone;
  int ones = 0; // bits of the payloads
};

class simulated_network_test : public testing::Test {
protected:
  simulated_network_test() {
    for (uint32_t i = 0; i < 2; ++i) start(i);
  }
  void start(uint32_t i) {
    w.at(i).boot();
    ends[i] = net.attach(i, w.at(i).incarnation() + 10, boxes[i], options);
  }
  status send(uint32_t number, size_t payload = 4, uint32_t from = 0) {
    std::vector<std::byte> header(sizeof number), bytes(payload);
    std::memcpy(header.data(), &number, sizeof number);
    return ends[from]->send(from == 0 ? "b" : "a", header, bytes);
  }
  void send_many(uint32_t count, duration apart = microseconds(1)) {
    for (uint32_t i = 0; i < count; ++i) {
      EXPECT_TRUE(send(i).ok());
      if (apart.count() > 0) w.run(w.now() + apart, 1000, {});
    }
  }
  void finish() { w.run(w.now() + seconds(10), 1'000'000, {}); }
  link_quality& link() { return net.link(0, 1); }

  world w{{.seed = 11, .machines = 2, .strategy = {}}};
  simulated_network net{w, {"a", "b"}};
  inbox boxes[2] = {inbox(w), inbox(w)};
  transport::endpoint_options options;
  std::unique_ptr<transport::endpoint> ends[2];
};

std::vector<uint32_t> up_to(uint32_t count) {
  std::vector<uint32_t> out(count);
  std::iota(out.begin(), out.end(), 0u);
  return out;
}

TEST_F(simulated_network_test, most_ends_of_processes_are_heard) {
  const int lives = 400;
  for (int i = 0; i < lives; ++i) {
    const uint64_t incarnation = ends[0]->self().incarnation;
    const size_t before = boxes[1].gone.size();
    w.at(0).crash();
    net.process_gone(0);
    ends[0].reset();
    finish();
    for (size_t n = before; n < boxes[1].gone.size(); ++n)
      EXPECT_EQ(boxes[1].gone[n].incarnation, incarnation);
    start(0);
  }
  EXPECT_GT(boxes[1].gone.size(), lives * 6 / 10u);
  EXPECT_LT(boxes[1].gone.size(), lives * 9 / 10u);
  EXPECT_TRUE(boxes[0].gone.empty());
}

TEST_F(simulated_network_test, the_end_of_a_process_is_not_heard_over_a_cut_link) {
  link().cut = true;
  for (int i = 0; i < 20; ++i) {
    w.at(0).crash();
    net.process_gone(0);
    ends[0].reset();
    finish();
    start(0);
  }
  EXPECT_TRUE(boxes[1].gone.empty());
}

TEST_F(simulated_network_test, brings_frames_in_order_with_the_delay_it_is_told) {
  send_many(2000, microseconds(500));
  finish();
  EXPECT_EQ(boxes[1].numbers(), up_to(2000));
  EXPECT_EQ(boxes[1].got[0].incarnation, 11u);
  double sum = 0;
  net.set_watcher({});
  for (uint32_t i = 0; i < 2000; ++i) {
    const auto delay = boxes[1].got[i].when - (time_point(duration(1)) + microseconds(500) * i);
    EXPECT_GE(delay, link().delay_min);
    sum += static_cast<double>(delay.count());
  }
  EXPECT_NEAR(sum / 2000, 60'000, 3'000);
  EXPECT_EQ(net.counters().delivered, 2000u);
}

TEST_F(simulated_network_test, keeps_order_when_frames_crowd) {
  send_many(1000, duration(10));
  finish();
  EXPECT_EQ(boxes[1].numbers(), up_to(1000));
}

TEST_F(simulated_network_test, a_tail_makes_some_frames_a_hundred_times_as_late) {
  link().tail_ppm = 10'000;
  link().delay_mean = link().delay_min; // nothing else is drawn
  send_many(3000, milliseconds(10));
  finish();
  const auto late = std::count_if(boxes[1].got.begin(), boxes[1].got.end(), [&](const arrival& a) {
    return a.when - (time_point(duration(1)) + milliseconds(10) * a.number) > milliseconds(1);
  });
  EXPECT_GT(late, 15);
  EXPECT_LT(late, 50);
}

TEST_F(simulated_network_test, loses_at_the_rate_it_is_told) {
  link().loss_ppm = 100'000;
  send_many(5000);
  finish();
  EXPECT_NEAR(static_cast<double>(boxes[1].got.size()), 4500, 100);
  EXPECT_EQ(net.counters().lost + net.counters().delivered, net.counters().sent);
}

TEST_F(simulated_network_test, repeats_and_reorders_at_the_rate_it_is_told) {
  link().repeat_ppm = 50'000;
  link().reorder_ppm = 50'000;
  send_many(4000, microseconds(10));
  finish();
  EXPECT_NEAR(static_cast<double>(net.counters().repeated), 200, 60);
  EXPECT_NEAR(static_cast<double>(net.counters().reordered), 200, 60);
  auto numbers = boxes[1].numbers();
  EXPECT_EQ(numbers.size(), 4000 + net.counters().repeated);
  EXPECT_FALSE(std::is_sorted(numbers.begin(), numbers.end()));
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  EXPECT_EQ(numbers, up_to(4000));
}

TEST_F(simulated_network_test, flips_one_bit_and_cuts_short) {
  link().flip_ppm = 1'000'000;
  EXPECT_TRUE(ends[0]->send("b", {}, std::vector<std::byte>(100)).ok());
  finish();
  EXPECT_EQ(boxes[1].ones, 1);
  link().flip_ppm = 0;
  link().truncate_ppm = 1'000'000;
  for (uint32_t i = 0; i < 50; ++i) EXPECT_TRUE(send(i, 100).ok());
  finish();
  for (size_t i = 1; i < boxes[1].got.size(); ++i) EXPECT_LT(boxes[1].got[i].bytes, 104u);
  EXPECT_EQ(net.counters().flipped, 51u);
  EXPECT_EQ(ends[0]->credit("b"), options.queued_frames_max);
}

TEST_F(simulated_network_test, nothing_passes_a_cut_not_even_what_is_under_way) {
  EXPECT_TRUE(send(0).ok());
  link().cut = true;
  EXPECT_TRUE(send(1).ok());
  EXPECT_TRUE(send(5, 4, 1).ok()); // the other direction
  finish();
  EXPECT_TRUE(boxes[1].got.empty());
  EXPECT_EQ(boxes[0].got.size(), 1u);
  EXPECT_EQ(net.counters().cut, 2u);
  link().cut = false;
  EXPECT_TRUE(send(2).ok());
  finish();
  EXPECT_EQ(boxes[1].numbers(), std::vector<uint32_t>{2});
}

TEST_F(simulated_network_test, holds_frames_until_they_are_let_go) {
  link().held = true;
  send_many(5);
  finish();
  EXPECT_TRUE(boxes[1].got.empty());
  net.let_go(0, 1);
  EXPECT_TRUE(send(5).ok());
  finish();
  EXPECT_EQ(boxes[1].numbers(), up_to(6));
}

TEST_F(simulated_network_test, what_was_held_does_not_come_after_what_was_sent_later) {
  link().held = true;
  send_many(3);
  link().held = false; // nobody called let_go
  EXPECT_TRUE(send(3).ok());
  finish();
  EXPECT_EQ(boxes[1].numbers(), up_to(4));
}

TEST_F(simulated_network_test, a_reset_loses_what_is_under_way_in_both_directions) {
  send_many(3, duration(0));
  EXPECT_TRUE(send(0, 4, 1).ok());
  link().held = true;
  EXPECT_TRUE(send(3).ok());
  net.reset(1, 0);
  net.let_go(0, 1);
  EXPECT_TRUE(send(4).ok());
  finish();
  EXPECT_EQ(boxes[1].numbers(), std::vector<uint32_t>{4});
  EXPECT_TRUE(boxes[0].got.empty());
  EXPECT_EQ(net.counters().lost, 5u);
  EXPECT_EQ(ends[0]->credit("b"), options.queued_frames_max);
}

TEST_F(simulated_network_test, a_slow_link_takes_its_time_for_bytes) {
  link().bytes_per_s = 1'000'000;
  link().delay_mean = link().delay_min;
  for (uint32_t i = 0; i < 10; ++i) EXPECT_TRUE(send(i, 996).ok());
  finish();
  for (uint32_t i = 0; i < 10; ++i)
    EXPECT_EQ(boxes[1].got[i].when,
              time_point(duration(1)) + milliseconds(i + 1) + link().delay_min);
}

TEST_F(simulated_network_test, refuses_what_exceeds_the_credit_and_gives_it_back) {
  EXPECT_EQ(ends[0]->credit("b"), options.queued_frames_max);
  for (size_t i = 0; i < options.queued_frames_max; ++i) EXPECT_TRUE(send(0).ok());
  EXPECT_EQ(send(1).code(), status_code::exhausted);
  EXPECT_EQ(ends[0]->credit("b"), 0u);
  EXPECT_EQ(ends[0]->counters().refused_exhausted, 1u);
  finish();
  EXPECT_TRUE(send(1).ok());
  EXPECT_EQ(send(1, options.frame_bytes_max + 1).code(), status_code::invalid_argument);
  EXPECT_EQ(ends[0]->send("c", {}, {}).code(), status_code::unavailable);
  EXPECT_EQ(ends[0]->credit("c"), 0u);
  EXPECT_EQ(ends[1]->counters().frames_received, options.queued_frames_max);
}

TEST_F(simulated_network_test, a_machine_that_is_down_hears_nothing_and_looks_silent) {
  w.at(1).crash();
  EXPECT_TRUE(send(0).ok());
  finish();
  EXPECT_TRUE(boxes[1].got.empty());
  EXPECT_EQ(ends[1]->send("a", {}, {}).code(), status_code::unavailable); // a dead process
}

TEST_F(simulated_network_test, a_paused_machine_gets_its_frames_when_it_resumes) {
  w.at(1).pause();
  send_many(3);
  finish();
  EXPECT_TRUE(boxes[1].got.empty());
  w.at(1).resume();
  finish();
  EXPECT_EQ(boxes[1].numbers(), up_to(3));
}

TEST_F(simulated_network_test, frames_for_an_earlier_process_arrive_at_the_next_one) {
  for (const bool deliver : {true, false}) {
    boxes[1].got.clear();
    link().stale_delivery = deliver;
    EXPECT_TRUE(send(7).ok());
    w.at(1).crash();
    start(1);
    finish();
    EXPECT_EQ(boxes[1].got.size(), deliver ? 1u : 0u);
  }
  EXPECT_EQ(net.counters().stale, 1u);
}

TEST_F(simulated_network_test, frames_of_a_dead_sender_arrive_if_they_had_left_it) {
  link().bytes_per_s = 1'000'000;
  link().delay_mean = link().delay_min = milliseconds(5);
  for (uint32_t i = 0; i < 4; ++i) EXPECT_TRUE(send(i, 996).ok()); // leave after 1, 2, 3, 4 ms
  w.run(w.now() + microseconds(2500), 100, {});
  w.at(0).crash();
  start(0);
  EXPECT_EQ(ends[0]->credit("b"), options.queued_frames_max);
  EXPECT_TRUE(send(9).ok());
  finish();
  EXPECT_EQ(boxes[1].numbers(), (std::vector<uint32_t>{0, 1, 9}));
  EXPECT_EQ(boxes[1].got[0].incarnation, 11u);
  EXPECT_EQ(boxes[1].got[2].incarnation, 12u);
}

TEST_F(simulated_network_test, an_old_endpoint_that_goes_late_does_not_detach_the_new_one) {
  auto old = std::move(ends[1]);
  w.at(1).crash();
  start(1);
  old.reset();
  EXPECT_TRUE(send(1).ok());
  finish();
  EXPECT_EQ(boxes[1].got.size(), 1u);
}

TEST_F(simulated_network_test, lists_all_other_names) {
  const auto peers = ends[0]->peers();
  ASSERT_EQ(peers.size(), 1u);
  EXPECT_EQ(peers[0].name, "b");
  EXPECT_EQ(ends[0]->self(), (transport::node_identity{"a", 11}));
}

TEST_F(simulated_network_test, tells_the_watcher_what_became_of_each_frame) {
  std::vector<bool> arrived;
  net.set_watcher([&](const frame_fate& f) { arrived.push_back(f.arrived != time_point{}); });
  EXPECT_TRUE(send(1).ok());
  finish();
  link().loss_ppm = 1'000'000;
  EXPECT_TRUE(send(2).ok());
  EXPECT_EQ(arrived, (std::vector<bool>{true, false}));
}

// Written down, so that another compiler or machine that draws otherwise is noticed.
TEST_F(simulated_network_test, a_seed_stands_for_the_same_frames_everywhere) {
  link().loss_ppm = link().repeat_ppm = link().reorder_ppm = link().flip_ppm = 100'000;
  link().tail_ppm = link().truncate_ppm = 50'000;
  send_many(200, microseconds(30));
  finish();
  EXPECT_EQ(w.hash(), 4327603286405472193u);
}

// Shrinking a plan of faults is only possible when the rest of the run stays where it was.
std::vector<arrival> arrivals_with(const link_quality& first, const link_quality& second) {
  world w({.seed = 5, .machines = 2, .strategy = {}});
  simulated_network net(w, {"a", "b"});
  inbox a(w), b(w);
  w.at(0).boot();
  w.at(1).boot();
  auto end_a = net.attach(0, 1, a), end_b = net.attach(1, 1, b);
  for (uint32_t i = 0; i < 200; ++i) {
    net.link(0, 1) = i < 100 ? first : second;
    std::byte header[4];
    std::memcpy(header, &i, 4);
    EXPECT_TRUE(end_a->send("b", header, {}).ok());
    w.run(w.now() + milliseconds(1), 1000, {});
  }
  w.run(never, 10'000, {});
  return b.got;
}

TEST(simulated_network_draws_test, removing_a_fault_leaves_the_other_frames_as_they_were) {
  link_quality faulty;
  faulty.loss_ppm = faulty.flip_ppm = faulty.reorder_ppm = faulty.repeat_ppm = 300'000;
  const auto with = arrivals_with(faulty, {}), without = arrivals_with({}, {});
  ASSERT_EQ(without.size(), 200u);
  const auto first_clean =
      std::find_if(with.begin(), with.end(), [](const arrival& a) { return a.number == 105; });
  ASSERT_NE(first_clean, with.end());
  for (auto i = first_clean; i != with.end(); ++i) {
    ASSERT_LT(i->number, 200u);
    EXPECT_EQ(i->when, without[i->number].when) << i->number;
  }
}

} // namespace
} // namespace troupe::simulations
