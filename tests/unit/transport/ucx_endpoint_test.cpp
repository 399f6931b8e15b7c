// Real endpoints over UCX on the loopback device, several in one process.
#include "transport/ucx/ucx_endpoint.hpp"

#include "base/random.hpp"
#include "tests/unit/transport/waiting_listener.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace troupe::transport {
namespace {

using std::chrono::milliseconds;
using tests::waiting_listener;

struct node {
  waiting_listener listener;
  std::unique_ptr<ucx_endpoint> endpoint; // destroyed before its listener
};

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// Contents that differ between places and between seeds.
std::vector<std::byte> pattern(size_t bytes, uint64_t seed) {
  std::vector<std::byte> out(bytes);
  uint64_t value = seed * 0x9e3779b97f4a7c15u + 1;
  for (size_t i = 0; i < bytes; ++i) {
    value = value * 6364136223846793005u + 1442695040888963407u;
    out[i] = static_cast<std::byte>(value >> 56);
  }
  return out;
}

std::vector<std::byte> number_header(uint64_t number) {
  std::vector<std::byte> out(sizeof number);
  std::memcpy(out.data(), &number, sizeof number);
  return out;
}

uint64_t number_of(std::span<const std::byte> header) {
  uint64_t out = 0;
  if (header.size() == sizeof out) std::memcpy(&out, header.data(), sizeof out);
  return out;
}

// Again and again while there is no credit.
status send_all(endpoint& from, const std::string& to, std::span<const std::byte> header,
                std::span<const std::byte> payload) {
  for (;;) {
    auto sent = from.send(to, header, payload);
    if (sent.code() != status_code::exhausted) return sent;
    std::this_thread::yield();
  }
}

class ucx_endpoint_test : public testing::Test {
protected:
  ucx_options options(const std::string& name, uint64_t incarnation = 1) {
    ucx_options out;
    out.self = {name, incarnation};
    out.key = key_;
    return out;
  }
  ucx_options seeded(const std::string& name, const node& seed, uint64_t incarnation = 1) {
    auto out = options(name, incarnation);
    out.peers = {{"", seed.endpoint->listen_address()}};
    return out;
  }
  std::unique_ptr<node> start(ucx_options options) {
    auto out = std::make_unique<node>();
    out->listener.keep = keep_;
    auto made = open_ucx_endpoint(std::move(options), out->listener);
    if (!made) ADD_FAILURE() << made.error().why();
    if (made) out->endpoint = std::move(*made);
    return out;
  }
  // Two nodes that are up.
  void pair_up() {
    a_ = start(options("a"));
    b_ = start(seeded("b", *a_));
    ASSERT_TRUE(a_->listener.wait_up("b"));
    ASSERT_TRUE(b_->listener.wait_up("a"));
  }

  secret key_ = secret::random();
  bool keep_ = true;
  std::unique_ptr<node> a_, b_;
};

TEST_F(ucx_endpoint_test, two_nodes_hear_of_each_other) {
  pair_up();
  EXPECT_EQ(a_->endpoint->peers(), (std::vector<node_identity>{{"b", 1}}));
  EXPECT_EQ(b_->endpoint->credit("a"), endpoint_options().queued_frames_max);
  EXPECT_EQ(a_->endpoint->counters().sessions_opened, 1u);
}

TEST_F(ucx_endpoint_test, carries_header_and_payload_into_aligned_memory) {
  pair_up();
  const auto header = bytes_of("a header of odd length!");
  const auto payload = pattern(1000, 7);
  ASSERT_TRUE(a_->endpoint->send("b", header, payload).ok());
  ASSERT_TRUE(a_->endpoint->send("b", header, {}).ok());
  ASSERT_TRUE(a_->endpoint->send("b", {}, {}).ok());
  ASSERT_TRUE(b_->listener.wait_frames(3));
  const auto frames = b_->listener.frames();
  EXPECT_EQ(frames[0].from, (node_identity{"a", 1}));
  EXPECT_EQ(frames[0].header, header);
  EXPECT_EQ(frames[0].payload, payload);
  EXPECT_TRUE(frames[0].aligned);
  EXPECT_EQ(frames[1].header, header);
  EXPECT_TRUE(frames[1].payload.empty() && frames[2].header.empty() && frames[2].payload.empty());
}

// Small frames whole, larger ones in pieces, and where it is so set the largest fetched by the
// peer.
class frame_order_test : public ucx_endpoint_test, public testing::WithParamInterface<uint64_t> {};

INSTANTIATE_TEST_SUITE_P(fetched_over, frame_order_test,
                         testing::Values(uint64_t{64} << 10, uint64_t{200} << 10, UINT64_MAX));

TEST_P(frame_order_test, small_frames_do_not_overtake_large_ones) {
  auto sender = options("a");
  sender.rendezvous_over = GetParam();
  a_ = start(std::move(sender));
  b_ = start(seeded("b", *a_));
  ASSERT_TRUE(a_->listener.wait_up("b", 1));
  ASSERT_TRUE(b_->listener.wait_up("a"));
  constexpr size_t frames = 600;
  const random_key key{3, random_subsystem::workload, 1};
  for (size_t i = 0; i < frames; ++i) {
    const size_t bytes =
        i % 3 == 0 ? 70'000 + random_below(key, i, 400'000) : random_below(key, i, 300);
    ASSERT_TRUE(send_all(*a_->endpoint, "b", number_header(i), pattern(bytes, i)).ok());
  }
  ASSERT_TRUE(b_->listener.wait_frames(frames));
  const auto got = b_->listener.frames();
  for (size_t i = 0; i < frames; ++i) {
    ASSERT_EQ(number_of(got[i].header), i);
    ASSERT_EQ(got[i].payload, pattern(got[i].payload.size(), i));
  }
  const auto sent = a_->endpoint->counters(), received = b_->endpoint->counters();
  EXPECT_EQ(sent.frames_sent, frames);
  EXPECT_EQ(received.frames_received, frames);
  EXPECT_EQ(sent.bytes_sent, received.bytes_received);
}

TEST_F(ucx_endpoint_test, sixteen_mebibytes_go_both_ways_at_once) {
  pair_up();
  const auto payload = pattern((16 << 20) - 8, 5);
  for (uint64_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(send_all(*a_->endpoint, "b", number_header(i), payload).ok());
    ASSERT_TRUE(send_all(*b_->endpoint, "a", number_header(i), payload).ok());
  }
  for (node* each : {a_.get(), b_.get()}) {
    ASSERT_TRUE(each->listener.wait_frames(4));
    for (const auto& frame : each->listener.frames()) {
      EXPECT_TRUE(frame.aligned);
      EXPECT_TRUE(frame.payload == payload);
    }
  }
}

TEST_F(ucx_endpoint_test, frames_in_clear_arrive_too) {
  auto first = options("a");
  first.encrypt = false;
  a_ = start(std::move(first));
  auto second = seeded("b", *a_);
  second.encrypt = false;
  b_ = start(std::move(second));
  ASSERT_TRUE(b_->listener.wait_up("a"));
  for (size_t bytes : {0, 1, 5000, 65536, 65537, 3'000'000})
    ASSERT_TRUE(b_->endpoint->send("a", number_header(bytes), pattern(bytes, bytes)).ok());
  ASSERT_TRUE(a_->listener.wait_frames(6));
  for (const auto& frame : a_->listener.frames())
    EXPECT_EQ(frame.payload, pattern(number_of(frame.header), number_of(frame.header)));
}

TEST_F(ucx_endpoint_test, refuses_what_it_cannot_send) {
  pair_up();
  const std::vector<std::byte> large((16 << 20) + 1);
  EXPECT_EQ(a_->endpoint->send("b", {}, large).code(), status_code::invalid_argument);
  EXPECT_EQ(a_->endpoint->send("c", {}, {}).code(), status_code::unavailable);
  EXPECT_EQ(a_->endpoint->credit("c"), 0u);
}

TEST_F(ucx_endpoint_test, the_sender_feels_a_receiver_that_is_busy) {
  std::mutex gate;
  a_ = std::make_unique<node>();
  a_->listener.on_frame = [&gate](auto&&...) { std::lock_guard wait(gate); };
  a_->endpoint = std::move(*open_ucx_endpoint(options("a"), a_->listener));
  auto narrow = seeded("b", *a_);
  narrow.bounds.queued_frames_max = 8;
  b_ = start(std::move(narrow));
  ASSERT_TRUE(b_->listener.wait_up("a"));
  const auto payload = pattern(200'000, 1); // fetched by the receiver, which has no time for it
  size_t accepted = 0;
  status last;
  {
    std::lock_guard busy(gate);
    while (last.ok() && accepted < 1000) {
      last = b_->endpoint->send("a", number_header(accepted), payload);
      accepted += last.ok() ? 1 : 0;
    }
    EXPECT_EQ(last.code(), status_code::exhausted);
    EXPECT_LT(accepted, 100u);
    EXPECT_EQ(b_->endpoint->credit("a"), 0u);
    EXPECT_EQ(b_->endpoint->counters().refused_exhausted, 1u);
  }
  ASSERT_TRUE(a_->listener.wait_frames(accepted));
  ASSERT_TRUE(send_all(*b_->endpoint, "a", number_header(accepted), payload).ok());
  EXPECT_TRUE(a_->listener.wait_frames(accepted + 1));
}

TEST_F(ucx_endpoint_test, frames_in_a_queue_of_a_lost_peer_are_counted) {
  std::mutex gate;
  a_ = std::make_unique<node>();
  a_->listener.on_frame = [&gate](auto&&...) { std::lock_guard wait(gate); };
  a_->listener.keep = false;
  a_->endpoint = std::move(*open_ucx_endpoint(options("a"), a_->listener));
  b_ = start(seeded("b", *a_));
  ASSERT_TRUE(b_->listener.wait_up("a"));
  const auto payload = pattern(1 << 20, 1);
  {
    std::lock_guard busy(gate);
    while (b_->endpoint->send("a", {}, payload).ok()) {
    }
    b_->endpoint->drop_peer("a");
    ASSERT_TRUE(b_->listener.wait_down("a"));
    EXPECT_GE(b_->endpoint->counters().dropped_peer_lost, 32u);
  }
  // And the two find each other again.
  EXPECT_TRUE(b_->listener.wait([&] { return b_->endpoint->counters().sessions_opened == 2; }));
}

TEST_F(ucx_endpoint_test, a_peer_that_stops_is_down_and_comes_back_with_a_higher_incarnation) {
  pair_up();
  b_.reset();
  ASSERT_TRUE(a_->listener.wait_down("b"));
  EXPECT_EQ(a_->endpoint->send("b", {}, {}).code(), status_code::unavailable);
  b_ = start(seeded("b", *a_, 2));
  ASSERT_TRUE(a_->listener.wait_up("b", 2));
  ASSERT_TRUE(b_->listener.wait_up("a"));
  ASSERT_TRUE(a_->endpoint->send("b", {}, bytes_of("again")).ok());
  EXPECT_TRUE(b_->listener.wait_frames(1));
}

TEST_F(ucx_endpoint_test, a_higher_incarnation_takes_over_while_the_lower_one_is_there) {
  pair_up();
  const auto successor = start(seeded("b", *a_, 5));
  ASSERT_TRUE(a_->listener.wait_up("b", 5));
  ASSERT_TRUE(b_->listener.wait_down("a"));
  EXPECT_EQ(a_->listener.events(), (std::vector<std::string>{"up b 1", "down b 1", "up b 5"}));
  // The old one goes on to dial and is refused.
  ASSERT_TRUE(a_->listener.wait([&] { return a_->endpoint->counters().refused_handshakes > 1; }));
  EXPECT_EQ(a_->endpoint->peers(), (std::vector<node_identity>{{"b", 5}}));
}

TEST_F(ucx_endpoint_test, a_wrong_key_gets_nothing) {
  a_ = start(options("a"));
  auto stranger = seeded("b", *a_);
  stranger.key = secret::random();
  b_ = start(std::move(stranger));
  ASSERT_TRUE(a_->listener.wait([&] { return a_->endpoint->counters().refused_handshakes > 2; }));
  EXPECT_TRUE(a_->listener.events().empty());
  EXPECT_TRUE(b_->listener.events().empty());
  const auto asked = fetch_description(a_->endpoint->listen_address(), secret::random());
  ASSERT_FALSE(asked.has_value());
  EXPECT_NE(asked.error().why().find("is the key the right one?"), std::string::npos)
      << asked.error().why();
}

TEST_F(ucx_endpoint_test, nodes_that_disagree_about_encryption_do_not_meet) {
  a_ = start(options("a"));
  auto clear = seeded("b", *a_);
  clear.encrypt = false;
  b_ = start(std::move(clear));
  ASSERT_TRUE(a_->listener.wait([&] { return a_->endpoint->counters().refused_handshakes > 0; }));
  EXPECT_TRUE(a_->listener.events().empty());
}

TEST_F(ucx_endpoint_test, both_may_dial_at_once) {
  for (int round = 0; round < 20; ++round) {
    a_ = start(options("a"));
    b_ = start(options("b"));
    a_->endpoint->add_peer({"b", b_->endpoint->listen_address()});
    b_->endpoint->add_peer({"a", a_->endpoint->listen_address()});
    ASSERT_TRUE(a_->listener.wait_up("b"));
    ASSERT_TRUE(b_->listener.wait_up("a"));
    ASSERT_TRUE(send_all(*a_->endpoint, "b", {}, bytes_of("x")).ok());
    ASSERT_TRUE(send_all(*b_->endpoint, "a", {}, bytes_of("y")).ok());
    ASSERT_TRUE(a_->listener.wait_frames(1));
    ASSERT_TRUE(b_->listener.wait_frames(1));
    EXPECT_EQ(a_->listener.events(), (std::vector<std::string>{"up b 1"}));
    EXPECT_EQ(b_->listener.events(), (std::vector<std::string>{"up a 1"}));
    a_.reset();
    b_.reset();
  }
}

TEST_F(ucx_endpoint_test, one_seed_is_enough_to_meet_everybody) {
  a_ = start(options("a"));
  std::vector<std::unique_ptr<node>> others;
  for (const char* name : {"b", "c", "d"}) others.push_back(start(seeded(name, *a_)));
  for (const char* name : {"b", "c", "d"}) {
    ASSERT_TRUE(a_->listener.wait_up(name));
    for (const auto& each : others) {
      if (each->endpoint->self().name == name) continue;
      ASSERT_TRUE(each->listener.wait_up(name));
    }
  }
  EXPECT_EQ(others[0]->endpoint->address_book().size(), 3u);
  const auto asked = fetch_address_book(a_->endpoint->listen_address(), key_);
  ASSERT_TRUE(asked.has_value()) << asked.error().why();
  std::set<std::string> known;
  for (const auto& entry : *asked) known.insert(entry.identity.name);
  EXPECT_EQ(known, (std::set<std::string>{"a", "b", "c", "d"}));
  // The mesh holds without the seed.
  a_.reset();
  ASSERT_TRUE(others[0]->listener.wait_down("a"));
  ASSERT_TRUE(others[1]->endpoint->send("d", {}, bytes_of("x")).ok());
  EXPECT_TRUE(others[2]->listener.wait_frames(1));
}

TEST_F(ucx_endpoint_test, gives_its_description_to_whoever_has_the_key) {
  for (const size_t bytes : {0, 1, 48 << 10, 3'000'000}) {
    auto described = options("a");
    described.description = pattern(bytes, 4);
    a_ = start(std::move(described));
    const auto got = fetch_description(a_->endpoint->listen_address(), key_);
    ASSERT_TRUE(got.has_value()) << got.error().why();
    EXPECT_EQ(*got, pattern(bytes, 4));
    EXPECT_TRUE(a_->listener.events().empty()); // who asks is no peer
  }
}

TEST_F(ucx_endpoint_test, a_listener_may_answer_at_once) {
  a_ = std::make_unique<node>();
  std::atomic<endpoint*> answers_with = nullptr;
  a_->listener.on_frame = [&](const node_identity& from, auto header, auto payload) {
    EXPECT_TRUE(answers_with.load()->send(from.name, header, payload).ok());
  };
  a_->endpoint = std::move(*open_ucx_endpoint(options("a"), a_->listener));
  answers_with = a_->endpoint.get();
  b_ = start(seeded("b", *a_));
  ASSERT_TRUE(b_->listener.wait_up("a"));
  for (uint64_t i = 0; i < 500; ++i)
    ASSERT_TRUE(send_all(*b_->endpoint, "a", number_header(i), pattern(i * 300, i)).ok());
  ASSERT_TRUE(b_->listener.wait_frames(500));
  const auto frames = b_->listener.frames();
  for (uint64_t i = 0; i < 500; ++i) ASSERT_EQ(frames[i].payload, pattern(i * 300, i));
}

TEST_F(ucx_endpoint_test, senders_of_many_threads_keep_their_own_order) {
  pair_up();
  std::vector<std::thread> senders;
  for (uint64_t thread = 0; thread < 4; ++thread)
    senders.emplace_back([this, thread] {
      for (uint64_t i = 0; i < 300; ++i)
        EXPECT_TRUE(send_all(*a_->endpoint, "b", number_header(thread << 32 | i),
                             pattern(i % 5 == 0 ? 90'000 : 200, i))
                        .ok());
    });
  for (auto& each : senders) each.join();
  ASSERT_TRUE(b_->listener.wait_frames(1200));
  std::array<uint64_t, 4> next{};
  for (const auto& frame : b_->listener.frames()) {
    const uint64_t number = number_of(frame.header);
    ASSERT_EQ(number & 0xffffffff, next[number >> 32]++);
  }
}

TEST_F(ucx_endpoint_test, stops_in_the_middle_of_traffic) {
  keep_ = false;
  for (int round = 0; round < 5; ++round) {
    pair_up();
    std::atomic<bool> stop = false;
    std::vector<std::thread> senders;
    for (const auto& [from, to] :
         {std::pair(a_->endpoint.get(), "b"), std::pair(b_->endpoint.get(), "a")})
      senders.emplace_back([&stop, from = from, to = std::string(to)] {
        const auto payload = pattern(300'000, 1);
        for (uint64_t i = 0; !stop; ++i)
          static_cast<void>(
              from->send(to, {}, std::span(payload).first(i % 2 == 0 ? 300'000 : 100)).ok());
      });
    ASSERT_TRUE(a_->listener.wait_frames(50));
    ASSERT_TRUE(b_->listener.wait_frames(50));
    stop = true;
    for (auto& each : senders) each.join();
    b_.reset(); // with frames under way in both directions
    ASSERT_TRUE(a_->listener.wait_down("b"));
    a_.reset();
  }
}

TEST_F(ucx_endpoint_test, refuses_options_that_cannot_be) {
  waiting_listener listener;
  const auto code = [&](auto change) {
    auto wanted = options("a");
    change(wanted);
    const auto made = open_ucx_endpoint(std::move(wanted), listener);
    return made ? status_code::ok : made.error().code();
  };
  EXPECT_EQ(code([](ucx_options& o) { o.self.name = ""; }), status_code::invalid_argument);
  EXPECT_EQ(code([](ucx_options& o) { o.self.name = "a b"; }), status_code::invalid_argument);
  EXPECT_EQ(code([](ucx_options& o) { o.key = secret::random(31); }),
            status_code::invalid_argument);
  EXPECT_EQ(code([](ucx_options& o) { o.listen = "nowhere"; }), status_code::invalid_argument);
  EXPECT_EQ(code([](ucx_options& o) { o.listen = "0.0.0.0:0"; }), status_code::invalid_argument);
  EXPECT_EQ(code([](ucx_options& o) { o.peers = {{"b", "host"}}; }), status_code::invalid_argument);
  EXPECT_EQ(code([](ucx_options& o) { o.listen = "192.0.2.77:0"; }), status_code::unavailable);
  EXPECT_EQ(code([](ucx_options& o) { o.transports = "carrier_pigeon"; }),
            status_code::unavailable);
}

} // namespace
} // namespace troupe::transport
