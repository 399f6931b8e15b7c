// Handshakes without a network: who may talk to whom, and every way of interfering.
#include "transport/session/handshake.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace troupe::transport {
namespace {

using message = std::vector<std::byte>;

class handshake_test : public testing::Test {
protected:
  handshake_options options(const std::string& name, bool encrypt = true) {
    hello self{{name, 7}, "127.0.0.1:1234", 0x1234567890abcdefu + name.size(), 1 << 20};
    return {key_, self, session_purpose::peer, encrypt};
  }

  secret key_ = secret::random();
};

TEST_F(handshake_test, both_learn_who_the_other_is_and_agree_on_keys) {
  auto a = handshake::initiate(options("a")), b = handshake::respond(options("bb"));
  const auto reply = b.receive(a.opening()).value();
  const auto closing = a.receive(reply).value();
  EXPECT_TRUE(b.receive(closing).value().empty());
  ASSERT_TRUE(a.done() && b.done());
  EXPECT_EQ(a.peer(), options("bb").self);
  EXPECT_EQ(b.peer(), options("a").self);
  const auto at_a = a.take_keys(), at_b = b.take_keys();
  const auto fits = [](const aead_key& out, const aead_key& in) {
    message plain(10, std::byte{3}), sealed(10 + aead_tag_bytes), got(10);
    out.seal(1, {}, plain, {}, sealed.data());
    return in.open(1, {}, sealed, got.data()) && got == plain;
  };
  EXPECT_TRUE(fits(at_a.frames_out, at_b.frames_in) && fits(at_b.frames_out, at_a.frames_in));
  EXPECT_TRUE(fits(at_a.control_out, at_b.control_in) && fits(at_b.control_out, at_a.control_in));
  EXPECT_FALSE(fits(at_a.frames_out, at_a.frames_in)); // what comes back to its sender is no frame
  EXPECT_FALSE(fits(at_a.frames_out, at_b.control_in));
}

TEST_F(handshake_test, another_key_gets_no_answer) {
  auto stranger_options = options("a");
  stranger_options.key = secret::random();
  auto a = handshake::initiate(std::move(stranger_options)), b = handshake::respond(options("b"));
  const auto answer = b.receive(a.opening());
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code(), status_code::corrupt);
  EXPECT_FALSE(b.done());
}

TEST_F(handshake_test, a_responder_without_the_key_is_found_out) {
  // It answers with the right key for the opening's MAC only in our imagination: so a relay that
  // swaps the reply of one handshake into another stands for it.
  auto a = handshake::initiate(options("a")), other = handshake::initiate(options("a"));
  auto b = handshake::respond(options("b"));
  a.opening();
  const auto reply_to_other = b.receive(other.opening()).value();
  EXPECT_EQ(a.receive(reply_to_other).error().code(), status_code::corrupt);
  EXPECT_FALSE(a.done());
}

TEST_F(handshake_test, a_replayed_opening_leads_nowhere) {
  auto a = handshake::initiate(options("a")), first = handshake::respond(options("b"));
  const auto opening = a.opening();
  const auto closing = a.receive(first.receive(opening).value()).value();
  auto second = handshake::respond(options("b"));
  ASSERT_TRUE(second.receive(opening).has_value());
  EXPECT_EQ(second.receive(closing).error().code(), status_code::corrupt);
  EXPECT_FALSE(second.done());
}

TEST_F(handshake_test, a_message_sent_back_to_its_sender_is_refused) {
  auto a = handshake::initiate(options("a"));
  EXPECT_FALSE(a.receive(a.opening()).has_value());
}

TEST_F(handshake_test, messages_out_of_turn_are_refused) {
  auto a = handshake::initiate(options("a")), b = handshake::respond(options("b"));
  EXPECT_FALSE(handshake::initiate(options("a")).receive(message(88)).has_value());
  const auto opening = a.opening();
  const auto reply = b.receive(opening).value();
  EXPECT_FALSE(b.receive(opening).has_value()); // twice
  ASSERT_TRUE(a.receive(reply).has_value());
  EXPECT_FALSE(a.receive(reply).has_value());
  EXPECT_TRUE(a.done()); // what was proven stays proven
}

TEST_F(handshake_test, every_changed_bit_is_noticed) {
  for (int which = 0; which < 3; ++which) {
    for (size_t bit = 0;; ++bit) {
      auto a = handshake::initiate(options("a")), b = handshake::respond(options("b"));
      bool past_the_end = false;
      const auto damage = [&](message in, int number) {
        if (number == which) {
          past_the_end = bit / 8 >= in.size();
          if (!past_the_end) in[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
        }
        return in;
      };
      const auto reply = b.receive(damage(a.opening(), 0));
      if (which == 0 && !past_the_end) {
        ASSERT_FALSE(reply.has_value()) << bit;
        continue;
      }
      if (which == 0) break;
      const auto closing = a.receive(damage(reply.value(), 1));
      if (which == 1 && !past_the_end) {
        ASSERT_FALSE(closing.has_value()) << bit;
        continue;
      }
      if (which == 1) break;
      const auto end = b.receive(damage(closing.value(), 2));
      if (past_the_end) break;
      ASSERT_FALSE(end.has_value()) << bit;
    }
  }
}

TEST_F(handshake_test, every_shortened_message_is_refused) {
  auto a = handshake::initiate(options("a"));
  const auto opening = a.opening();
  for (size_t bytes = 0; bytes < opening.size(); ++bytes)
    ASSERT_FALSE(
        handshake::respond(options("b")).receive(std::span(opening).first(bytes)).has_value());
  EXPECT_FALSE(handshake::respond(options("b")).receive(message(1 << 20)).has_value());
}

TEST_F(handshake_test, peers_must_agree_about_encryption) {
  auto a = handshake::initiate(options("a", true)), b = handshake::respond(options("b", false));
  const auto answer = b.receive(a.opening());
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code(), status_code::unsupported);
  EXPECT_NE(answer.error().why().find("encryption is on at the peer"), std::string::npos);
}

TEST_F(handshake_test, somebody_who_only_asks_needs_no_name_and_no_agreement) {
  auto asking = options("");
  asking.purpose = session_purpose::description;
  auto a = handshake::initiate(std::move(asking)), b = handshake::respond(options("b", false));
  ASSERT_TRUE(b.receive(a.receive(b.receive(a.opening()).value()).value()).has_value());
  EXPECT_EQ(b.purpose(), session_purpose::description);
}

TEST_F(handshake_test, a_peer_without_a_name_is_refused) {
  auto a = handshake::initiate(options("")), b = handshake::respond(options("b"));
  const auto closing = a.receive(b.receive(a.opening()).value()).value();
  EXPECT_FALSE(b.receive(closing).has_value());
}

TEST_F(handshake_test, survives_random_messages) {
  const random_key key{11, random_subsystem::faults, 5};
  uint64_t n = 0;
  auto a = handshake::initiate(options("a"));
  const auto opening = a.opening();
  for (int round = 0; round < 20'000; ++round) {
    message noise = round % 2 == 0 ? opening : message(random_below(key, n++, 400));
    for (auto& each : noise)
      if (round % 2 != 0 || random_below(key, n++, 20) == 0)
        each = static_cast<std::byte>(random_bits(key, n++));
    if (noise == opening) continue;
    auto b = handshake::respond(options("b"));
    ASSERT_FALSE(b.receive(noise).has_value());
    ASSERT_FALSE(b.done());
  }
}

TEST(hello_test, names_and_addresses_have_a_shape) {
  for (const char* good : {"a", "node-1", "x.y_Z9"}) EXPECT_TRUE(valid_name(good)) << good;
  for (const char* bad : {"", "a b", "a/b", "\n", "\xc3\xa4"}) EXPECT_FALSE(valid_name(bad)) << bad;
  EXPECT_FALSE(valid_name(std::string(name_bytes_max + 1, 'a')));
  for (const char* good : {"h:1", "127.0.0.1:65535", "[::1]:80", "a.b.c:99"})
    EXPECT_TRUE(valid_address(good)) << good;
  for (const char* bad : {"", "h", ":1", "h:", "h:0", "h:65536", "h:-1", "h:1x", "a b:1"})
    EXPECT_FALSE(valid_address(bad)) << bad;
}

TEST(hello_test, survives_the_way_and_nothing_else) {
  const hello from{{"node-1", 99}, "10.0.0.1:7000", 12345, 1 << 24};
  const auto bytes = encode(from);
  EXPECT_EQ(decode_hello(bytes).value(), from);
  for (size_t cut = 0; cut < bytes.size(); ++cut)
    EXPECT_FALSE(decode_hello(std::span(bytes).first(cut)).has_value());
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode_hello(longer).has_value());
  EXPECT_FALSE(decode_hello(encode({{"a b", 1}, "", 0, 0})).has_value());
  EXPECT_FALSE(decode_hello(encode({{"a", 1}, "nowhere", 0, 0})).has_value());
}

} // namespace
} // namespace troupe::transport
