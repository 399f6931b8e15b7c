// The receiving side of frames: order, replay, forgery, damage.
#include "transport/session/frame_gate.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

namespace troupe::transport {
namespace {

using bytes = std::vector<std::byte>;

class frame_gate_test : public testing::TestWithParam<bool> {
protected:
  struct wire_frame {
    frame_head head;
    bytes body;
  };

  const aead_key* key() const { return GetParam() ? &key_ : nullptr; }
  frame_gate<bytes> gate() { return {key(), {.window = 16, .frame_bytes_max = 1000}}; }

  wire_frame make(uint64_t sequence, size_t payload_bytes = 20, size_t header_bytes = 5) {
    const bytes header(header_bytes, std::byte{1}),
        payload(payload_bytes, static_cast<std::byte>(sequence));
    wire_frame out{{77, sequence, static_cast<uint32_t>(header_bytes), frame_kind::data},
                   bytes(header_bytes + payload_bytes + seal_bytes(GetParam()))};
    seal_frame(key(), out.head, header, payload, out.body.data());
    return out;
  }
  // As an endpoint does it.
  frame_verdict give(frame_gate<bytes>& to, const wire_frame& frame) {
    const auto verdict = to.admit(frame.head, frame.body.size());
    return verdict == frame_verdict::fresh ? give_body(to, frame) : verdict;
  }
  frame_verdict give_body(frame_gate<bytes>& to, const wire_frame& frame) {
    bytes out(frame.body.size());
    const auto verdict = to.open(frame.head, frame.body, out.data());
    if (verdict == frame_verdict::fresh) to.insert(frame.head, std::move(out));
    return verdict;
  }

  const secret secret_ = secret::random();
  const aead_key key_{secret_, "frames", {}};
};

INSTANTIATE_TEST_SUITE_P(sealed_and_clear, frame_gate_test, testing::Bool(),
                         [](const auto& info) { return info.param ? "sealed" : "clear"; });

TEST_P(frame_gate_test, puts_frames_in_order) {
  auto to = gate();
  const random_key random{5, random_subsystem::workload, 3};
  std::vector<uint64_t> order(16);
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size() - 1; i > 0; --i)
    std::swap(order[i], order[random_below(random, i, i + 1)]);
  uint64_t next = 0;
  for (const uint64_t sequence : order) {
    ASSERT_EQ(give(to, make(sequence)), frame_verdict::fresh);
    while (const auto frame = to.take()) {
      EXPECT_EQ(frame->head.sequence, next);
      EXPECT_EQ(frame->body[0], static_cast<std::byte>(next++));
    }
  }
  EXPECT_EQ(next, 16u);
  EXPECT_EQ(to.waiting(), 0u);
}

TEST_P(frame_gate_test, takes_no_frame_twice) {
  auto to = gate();
  const auto first = make(0), third = make(2);
  ASSERT_EQ(give(to, first), frame_verdict::fresh);
  ASSERT_EQ(give(to, third), frame_verdict::fresh);
  EXPECT_EQ(give(to, first), frame_verdict::replayed); // here, not yet taken
  EXPECT_EQ(give(to, third), frame_verdict::replayed);
  ASSERT_TRUE(to.take().has_value());
  EXPECT_EQ(give(to, first), frame_verdict::replayed); // taken
  EXPECT_EQ(to.waiting(), 1u);
}

TEST_P(frame_gate_test, holds_a_bounded_number_of_frames) {
  auto to = gate();
  for (uint64_t sequence = 1; sequence < 16; ++sequence)
    ASSERT_EQ(give(to, make(sequence)), frame_verdict::fresh);
  EXPECT_EQ(give(to, make(16)), frame_verdict::forged);
  EXPECT_EQ(give(to, make(UINT64_MAX)), frame_verdict::forged);
  EXPECT_FALSE(to.take().has_value());
  ASSERT_EQ(give(to, make(0)), frame_verdict::fresh);
  ASSERT_TRUE(to.take().has_value());
  EXPECT_EQ(give(to, make(16)), frame_verdict::fresh);
}

TEST_P(frame_gate_test, holds_a_bounded_number_of_bytes) {
  frame_gate<bytes> to(key(), {.window = 16, .frame_bytes_max = 1000, .held_bytes_max = 3000});
  for (const uint64_t sequence : {1, 2}) // here, but early
    ASSERT_EQ(give(to, make(sequence, 900)), frame_verdict::fresh);
  const auto offered = make(3, 900);
  ASSERT_EQ(to.admit(offered.head, offered.body.size()), frame_verdict::fresh);
  to.expect(offered.head, offered.body.size()); // memory for it is taken
  EXPECT_EQ(to.admit(offered.head, offered.body.size()), frame_verdict::replayed);
  EXPECT_EQ(give(to, make(4, 900)), frame_verdict::oversized);
  EXPECT_LE(to.held_bytes(), 3000u);
  // The one that the others wait for always comes in, once.
  const auto first = make(0, 900);
  ASSERT_EQ(to.admit(first.head, first.body.size()), frame_verdict::fresh);
  to.expect(first.head, first.body.size());
  EXPECT_EQ(to.admit(first.head, first.body.size()), frame_verdict::replayed);
  EXPECT_LE(to.held_bytes(), 3000u + 1000u);
  for (const auto& each : {offered, first}) { // what was expected is not refused any more
    to.came(each.head);
    EXPECT_EQ(give_body(to, each), frame_verdict::fresh);
  }
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(to.take().has_value());
  EXPECT_EQ(to.held_bytes(), 0u);
  EXPECT_EQ(give(to, make(4, 900)), frame_verdict::fresh);
}

TEST_P(frame_gate_test, refuses_what_is_too_long_or_too_short) {
  auto to = gate();
  EXPECT_EQ(give(to, make(0, 995, 5)), frame_verdict::fresh);
  EXPECT_EQ(give(to, make(1, 996, 5)), frame_verdict::oversized);
  auto cut = make(1, 0, 50);
  cut.body.resize(49);
  EXPECT_EQ(give(to, cut), frame_verdict::truncated);
  cut.body.clear();
  EXPECT_EQ(give(to, cut), frame_verdict::truncated);
}

TEST_P(frame_gate_test, notices_damage_under_seal) {
  if (!GetParam()) GTEST_SKIP() << "frames in clear have no seal";
  auto to = gate();
  const auto good = make(0);
  for (size_t bit = 0; bit < good.body.size() * 8; ++bit) {
    auto damaged = good;
    damaged.body[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    ASSERT_EQ(give(to, damaged), frame_verdict::forged);
  }
  auto moved = good;
  moved.head.sequence = 1; // a genuine frame under another number
  EXPECT_EQ(give(to, moved), frame_verdict::forged);
  moved = good;
  moved.head.header_bytes = 4;
  EXPECT_EQ(give(to, moved), frame_verdict::forged);
  moved = good;
  moved.head.session = 78;
  EXPECT_EQ(give(to, moved), frame_verdict::forged);
  EXPECT_EQ(give(to, good), frame_verdict::fresh); // nothing was spoilt by the others
}

TEST(frame_head_test, survives_the_way_and_nothing_else) {
  const frame_head from{0x0123456789abcdef, 42, 1000, frame_kind::probe};
  const auto wire = encode(from);
  EXPECT_EQ(decode_frame_head(wire).value(), from);
  EXPECT_FALSE(decode_frame_head(std::span(wire).first(23)).has_value());
  for (const size_t at : {20, 21, 22, 23}) {
    auto stray = wire;
    stray[at] = std::byte{9};
    EXPECT_FALSE(decode_frame_head(stray).has_value()) << at;
  }
}

bytes encode_number(bytes head, size_t at, uint64_t value) {
  for (size_t i = 0; i < sizeof value; ++i) head[at + i] = static_cast<std::byte>(value >> (8 * i));
  return head;
}

// A hundred thousand damaged frames among good ones: the good ones arrive, once and in order, and
// nothing else does.
TEST(frame_gate_fuzz, only_genuine_frames_get_through) {
  const auto master = secret::random();
  const aead_key key(master, "frames", {});
  frame_gate<bytes> to(&key, {.window = 64, .frame_bytes_max = 4096});
  const random_key random{2026, random_subsystem::faults, 9};
  uint64_t n = 0;
  const auto below = [&](uint64_t bound) { return random_below(random, n++, bound); };
  struct wire_frame {
    bytes head, body;
  };
  std::vector<wire_frame> sent; // all that a listener on the way has heard
  uint64_t delivered = 0, dropped = 0, sequence = 0;
  const auto give = [&](const wire_frame& frame) {
    const auto head = decode_frame_head(frame.head);
    if (!head || head->session != 5) return frame_verdict::truncated;
    bytes out(frame.body.size());
    const auto verdict = to.open(*head, frame.body, out.data());
    if (verdict == frame_verdict::fresh) to.insert(*head, std::move(out));
    while (const auto taken = to.take()) EXPECT_EQ(taken->head.sequence, delivered++);
    return verdict;
  };
  for (int round = 0; round < 120'000; ++round) {
    if (sent.empty() || below(16) == 0) {
      const bytes payload(below(300)), header(below(40));
      const frame_head head{5, sequence++, static_cast<uint32_t>(header.size()), frame_kind::data};
      const auto encoded = encode(head);
      wire_frame frame{{encoded.begin(), encoded.end()},
                       bytes(payload.size() + header.size() + aead_tag_bytes)};
      seal_frame(&key, head, header, payload, frame.body.data());
      ASSERT_EQ(give(frame), frame_verdict::fresh);
      sent.push_back(std::move(frame));
      continue;
    }
    wire_frame frame = sent[below(sent.size())];
    switch (below(7)) {
      case 0:
        break; // as it was
      case 1:
        frame.head[below(frame.head.size())] ^= static_cast<std::byte>(1 << below(8));
        break;
      case 2:
        frame.body[below(frame.body.size())] ^= static_cast<std::byte>(1 << below(8));
        break;
      case 3:
        frame.body.resize(below(frame.body.size() + 1));
        break;
      case 4:
        frame.body.resize(frame.body.size() + below(6000));
        break;
      case 5:
        frame.head = encode_number(frame.head, 8, sequence + below(70));
        break;
      default:
        for (auto& each : frame.body) each = static_cast<std::byte>(random_bits(random, n++));
    }
    if (give(frame) != frame_verdict::fresh) ++dropped;
  }
  EXPECT_EQ(delivered, sequence);
  EXPECT_GT(dropped, 100'000u);
  EXPECT_EQ(to.waiting(), 0u);
}

} // namespace
} // namespace troupe::transport
