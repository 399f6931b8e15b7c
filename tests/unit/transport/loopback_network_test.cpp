// What the endpoint seam promises, on the network that lives in memory.
#include "transport/loopback/loopback_network.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace troupe::transport {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// Writes down everything that happens at an endpoint, as readable lines.
class diary final : public endpoint_listener {
public:
  void frame_received(const node_identity& from, std::span<const std::byte> header,
                      std::span<const std::byte> payload) override {
    const auto text_of = [](std::span<const std::byte> bytes) {
      return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    note("frame", from, " " + text_of(header) + "|" + text_of(payload));
    if (answer) answer(from);
  }
  void peer_up(const node_identity& peer) override { note("up", peer, ""); }
  void peer_down(const node_identity& peer) override { note("down", peer, ""); }

  std::vector<std::string> take() { return std::exchange(lines_, {}); }
  std::function<void(const node_identity&)> answer;

private:
  void note(const std::string& what, const node_identity& who, const std::string& rest) {
    lines_.push_back(what + " " + who.name + "/" + std::to_string(who.incarnation) + rest);
  }
  std::vector<std::string> lines_;
};

using lines = std::vector<std::string>;

class loopback_test : public testing::Test {
protected:
  std::unique_ptr<endpoint> open(const std::string& name, uint64_t incarnation, diary& into,
                                 endpoint_options options = {}) {
    auto made = network.open({name, incarnation}, into, options);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().why());
    return made ? std::move(*made) : nullptr;
  }
  // Two nodes that know each other.
  void connect(endpoint_options options = {}) {
    a = open("a", 1, at_a, options);
    b = open("b", 1, at_b);
    network.deliver_all();
    at_a.take();
    at_b.take();
  }
  status send(const std::unique_ptr<endpoint>& from, const std::string& to, std::string_view header,
              std::string_view payload = "") {
    return from->send(to, bytes_of(header), bytes_of(payload));
  }

  loopback_network network;
  diary at_a, at_b;
  std::unique_ptr<endpoint> a, b;
};

TEST_F(loopback_test, nodes_hear_of_each_other) {
  a = open("a", 1, at_a);
  b = open("b", 7, at_b);
  EXPECT_EQ(send(a, "b", "early").code(), status_code::unavailable) << "not before peer_up";
  network.deliver_all();
  EXPECT_EQ(at_a.take(), lines{"up b/7"});
  EXPECT_EQ(at_b.take(), lines{"up a/1"});
  EXPECT_EQ(a->peers(), (std::vector<node_identity>{{"b", 7}}));
}

TEST_F(loopback_test, frames_arrive_in_order_and_only_when_delivered) {
  connect();
  ASSERT_TRUE(send(a, "b", "h1", "p1").ok());
  ASSERT_TRUE(send(a, "b", "h2", "p2").ok());
  EXPECT_EQ(at_b.take(), lines{});
  EXPECT_EQ(network.deliver(1), 1u);
  EXPECT_EQ(at_b.take(), lines{"frame a/1 h1|p1"});
  EXPECT_EQ(network.deliver_all(), 1u);
  EXPECT_EQ(at_b.take(), lines{"frame a/1 h2|p2"});
  EXPECT_EQ(a->counters().frames_sent, 2u);
  EXPECT_EQ(b->counters().bytes_received, 8u);
}

TEST_F(loopback_test, answers_wait_for_their_turn) {
  connect();
  at_b.answer = [&](const node_identity& from) { ASSERT_TRUE(send(b, from.name, "pong").ok()); };
  ASSERT_TRUE(send(a, "b", "ping").ok());
  EXPECT_EQ(network.deliver(1), 1u);
  EXPECT_EQ(at_a.take(), lines{});
  network.deliver_all();
  EXPECT_EQ(at_a.take(), lines{"frame b/1 pong|"});
}

TEST_F(loopback_test, delivery_is_bounded_when_nodes_never_stop_talking) {
  connect();
  at_a.answer = [&](const node_identity& from) { (void)send(a, from.name, "ping"); };
  at_b.answer = [&](const node_identity& from) { (void)send(b, from.name, "pong"); };
  ASSERT_TRUE(send(a, "b", "ping").ok());
  EXPECT_EQ(network.deliver_all(1000), 1000u);
  EXPECT_EQ(network.waiting(), 1u);
}

TEST_F(loopback_test, the_number_of_waiting_frames_is_bounded) {
  connect({.queued_frames_max = 2});
  EXPECT_EQ(a->credit("b"), 2u);
  ASSERT_TRUE(send(a, "b", "1").ok());
  ASSERT_TRUE(send(a, "b", "2").ok());
  EXPECT_EQ(a->credit("b"), 0u);
  EXPECT_EQ(send(a, "b", "3").code(), status_code::exhausted);
  EXPECT_EQ(a->counters().refused_exhausted, 1u);
  network.deliver(1);
  EXPECT_EQ(a->credit("b"), 1u);
  EXPECT_TRUE(send(a, "b", "3").ok());
}

TEST_F(loopback_test, the_bytes_of_waiting_frames_are_bounded) {
  connect({.queued_bytes_max = 10});
  ASSERT_TRUE(send(a, "b", "1234", "5678").ok());
  EXPECT_EQ(send(a, "b", "901").code(), status_code::exhausted);
  EXPECT_TRUE(send(a, "b", "90").ok());
  EXPECT_EQ(a->credit("b"), 0u);
}

TEST_F(loopback_test, a_frame_too_large_is_never_taken) {
  connect({.frame_bytes_max = 4});
  EXPECT_EQ(send(a, "b", "123", "45").code(), status_code::invalid_argument);
  EXPECT_TRUE(send(a, "b", "12", "34").ok());
}

TEST_F(loopback_test, unknown_peers_are_unavailable) {
  connect();
  EXPECT_EQ(send(a, "nobody", "x").code(), status_code::unavailable);
  EXPECT_EQ(a->credit("nobody"), 0u);
}

TEST_F(loopback_test, a_lost_node_takes_its_frames_along) {
  connect();
  ASSERT_TRUE(send(a, "b", "to the lost").ok());
  ASSERT_TRUE(send(b, "a", "from the lost").ok());
  network.lose("b");
  network.deliver_all();
  EXPECT_EQ(at_a.take(), lines{"down b/1"});
  EXPECT_EQ(at_b.take(), lines{});
  EXPECT_EQ(a->counters().dropped_peer_lost, 1u);
  EXPECT_EQ(send(a, "b", "x").code(), status_code::unavailable);
  EXPECT_EQ(send(b, "a", "x").code(), status_code::unavailable)
      << "it does not know that it is gone";
}

TEST_F(loopback_test, closing_an_endpoint_is_heard) {
  connect();
  b.reset();
  network.deliver_all();
  EXPECT_EQ(at_a.take(), lines{"down b/1"});
}

TEST_F(loopback_test, frames_of_an_earlier_incarnation_are_void) {
  connect();
  ASSERT_TRUE(send(b, "a", "from the old").ok());
  ASSERT_TRUE(send(a, "b", "to the old").ok());
  diary at_new;
  const auto again = open("b", 2, at_new);
  network.deliver_all();
  EXPECT_EQ(at_a.take(), (lines{"down b/1", "up b/2"}));
  EXPECT_EQ(at_new.take(), lines{"up a/1"});
  EXPECT_EQ(at_b.take(), lines{});
  EXPECT_EQ(a->counters().dropped_stale, 1u);
  EXPECT_EQ(again->counters().dropped_stale, 1u);
  EXPECT_EQ(send(b, "a", "late").code(), status_code::unavailable);
  EXPECT_EQ(b->counters().dropped_stale, 1u);
  ASSERT_TRUE(send(a, "b", "to the new").ok());
  network.deliver_all();
  EXPECT_EQ(at_new.take(), lines{"frame a/1 to the new|"});
  EXPECT_EQ(a->credit("b"), endpoint_options{}.queued_frames_max);
}

TEST_F(loopback_test, a_name_cannot_be_taken_by_an_older_node) {
  connect();
  diary at_other;
  for (const uint64_t incarnation : {0, 1})
    EXPECT_EQ(network.open({"b", incarnation}, at_other).error().code(),
              status_code::invalid_argument);
  b.reset();
  EXPECT_TRUE(network.open({"b", 1}, at_other).has_value()) << "the name is free again";
}

TEST_F(loopback_test, endpoints_may_outlive_the_network) {
  auto short_lived = std::make_unique<loopback_network>();
  auto made = short_lived->open({"x", 1}, at_a);
  ASSERT_TRUE(made.has_value());
  short_lived.reset();
  EXPECT_TRUE((*made)->peers().empty());
  EXPECT_EQ(send(*made, "y", "x").code(), status_code::unavailable);
}

} // namespace
} // namespace troupe::transport
