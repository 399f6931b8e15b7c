// Frames of every kind survive the trip, and no bytes of strangers do any harm.
#include "schemas/frame_codec.hpp"

#include "base/random.hpp"
#include "tests/support/random_frames.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace troupe::schemas {
namespace {

using tests::random_frames;

std::vector<std::byte> encoded(const frame_header& header) {
  auto bytes = encode_frame(header, {});
  EXPECT_TRUE(bytes.has_value()) << bytes.error().why();
  return bytes ? *bytes : std::vector<std::byte>();
}

frame_header with(frame_body body) {
  frame_header out;
  out.body = std::move(body);
  return out;
}

void reseal(std::vector<std::byte>& frame) {
  const uint64_t sum = checksum_of(std::span(frame).subspan(8));
  for (size_t i = 0; i < 8; ++i) frame[i] = static_cast<std::byte>(sum >> (8 * i));
}

TEST(frame_codec, every_kind_comes_back_as_it_was) {
  random_frames frames(1);
  for (size_t kind = 0; kind < random_frames::kinds; ++kind) {
    for (int round = 0; round < 200; ++round) {
      const auto header = frames.next(kind);
      ASSERT_EQ(header.body.index(), kind);
      const auto bytes = encode_frame(header, {});
      ASSERT_TRUE(bytes.has_value()) << kind << ": " << bytes.error().why();
      EXPECT_EQ(bytes->size() % 8, 0u);
      const auto back = decode_frame(*bytes, {});
      ASSERT_TRUE(back.has_value()) << kind << ": " << back.error().why();
      EXPECT_EQ(*back, header) << kind;
    }
  }
}

TEST(frame_codec, default_values_come_back_too) {
  for (const frame_header& header :
       {frame_header(), with(stage_done()), with(shard_done()), with(stage_forward()),
        with(state_update()), with(emission{{{}}})}) {
    EXPECT_EQ(*decode_frame(encoded(header), {}), header);
  }
}

TEST(frame_codec, messages_beyond_the_first_segment_come_back) {
  stage_forward forward;
  forward.stage = 1;
  constexpr uint32_t rows = 20000;
  forward.rows.tables.assign(300, std::vector<uint32_t>(50, 7));
  for (uint32_t row = 0; row < rows; ++row) {
    forward.rows.tokens.push_back(static_cast<int32_t>(row));
    forward.rows.positions.push_back(row * 3);
    forward.rows.slots.push_back(row * 5);
    forward.rows.sequence_of.push_back(row % 300);
    forward.rows.prompt_lengths.push_back(1);
    forward.rows.wanted_rows.push_back(row);
  }
  const frame_header header{.rows = rows, .columns = 64, .body = forward};
  const auto bytes = encoded(header);
  EXPECT_EQ(*decode_frame(bytes, {}), header);
  EXPECT_EQ(encoded(header), bytes);
}

TEST(frame_codec, equal_headers_have_equal_bytes) {
  random_frames once(2), again(2);
  for (size_t kind = 0; kind < random_frames::kinds; ++kind)
    EXPECT_EQ(encoded(once.next(kind)), encoded(again.next(kind))) << kind;
}

TEST(frame_codec, bytes_are_the_same_in_every_build) {
  const frame_header header{.source = 1,
                            .source_incarnation = 2,
                            .target = 3,
                            .epoch = 4,
                            .rows = 5,
                            .columns = 6,
                            .body = shard_done{.step = 7, .layer = 8, .stage = 9, .shard = 10}};
  const auto bytes = encoded(header);
  EXPECT_EQ(bytes.size(), 128u);
  EXPECT_EQ(checksum_of(bytes), uint64_t{4130469065236129041u});
}

TEST(frame_codec, bytes_need_no_alignment) {
  const auto header = random_frames(3).next(1);
  const auto bytes = encoded(header);
  std::vector<std::byte> shifted(bytes.size() + 1);
  std::memcpy(shifted.data() + 1, bytes.data(), bytes.size());
  EXPECT_EQ(*decode_frame(std::span(shifted).subspan(1), {}), header);
}

TEST(frame_codec, every_flipped_bit_is_noticed) {
  random_frames frames(4);
  for (size_t kind = 0; kind < random_frames::kinds; ++kind) {
    auto bytes = encoded(frames.next(kind));
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
      const auto header = decode_frame(bytes, {});
      ASSERT_FALSE(header.has_value()) << "kind " << kind << ", bit " << bit;
      EXPECT_EQ(header.error().code(), status_code::corrupt);
      bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    }
    EXPECT_TRUE(decode_frame(bytes, {}).has_value());
  }
}

TEST(frame_codec, every_truncation_is_refused) {
  random_frames frames(5);
  for (size_t kind = 0; kind < random_frames::kinds; ++kind) {
    const auto whole = encoded(frames.next(kind));
    for (size_t length = 0; length < whole.size(); ++length) {
      std::vector<std::byte> bytes(whole.begin(), whole.begin() + static_cast<long>(length));
      EXPECT_FALSE(decode_frame(bytes, {}).has_value()) << kind << " " << length;
      if (length < 8) continue;
      reseal(bytes); // nor does it take the checksum to notice
      EXPECT_FALSE(decode_frame(bytes, {}).has_value()) << kind << " " << length;
    }
  }
}

TEST(frame_codec, bytes_after_the_message_are_refused) {
  auto bytes = encoded(random_frames(6).next(2));
  bytes.resize(bytes.size() + 8);
  reseal(bytes);
  EXPECT_FALSE(decode_frame(bytes, {}).has_value());
}

// Finds the only place of the 32-bit or 16-bit number `from` and writes `to` there.
template <class Number>
bool replace(std::vector<std::byte>& bytes, Number from, Number to) {
  for (size_t at = 8; at + sizeof from <= bytes.size(); at += sizeof from) {
    if (std::memcmp(bytes.data() + at, &from, sizeof from) != 0) continue;
    std::memcpy(bytes.data() + at, &to, sizeof to);
    reseal(bytes);
    return true;
  }
  return false;
}

TEST(frame_codec, another_protocol_version_is_unsupported) {
  auto bytes = encoded({});
  // The version is the first field; the segment table and the root pointer come before it.
  ASSERT_EQ(std::to_integer<uint32_t>(bytes[24]), frame_protocol_version);
  bytes[24] = std::byte{9};
  reseal(bytes);
  const auto header = decode_frame(bytes, {});
  ASSERT_FALSE(header.has_value());
  EXPECT_EQ(header.error().code(), status_code::unsupported);
  EXPECT_EQ(header.error().why(), "frame header: protocol version 9, this program speaks 2");
}

TEST(frame_codec, a_kind_of_body_from_the_future_is_unsupported) {
  auto bytes = encoded(with(journal_answer{0, false}));
  const auto kind = static_cast<uint16_t>(random_frames::kinds - 1);
  ASSERT_TRUE(replace<uint16_t>(bytes, kind, uint16_t{999}));
  const auto header = decode_frame(bytes, {});
  ASSERT_FALSE(header.has_value());
  EXPECT_EQ(header.error().code(), status_code::unsupported) << header.error().why();
}

TEST(frame_codec, a_header_too_long_is_refused) {
  submission request;
  request.prompt.resize(20000);
  request.choices_so_far.resize(1);
  const auto header = with(request);
  const auto short_one = encode_frame(header, {.header_bytes_max = 1 << 16});
  ASSERT_FALSE(short_one.has_value());
  EXPECT_EQ(short_one.error().code(), status_code::corrupt);
  EXPECT_FALSE(decode_frame(encoded(header), {.header_bytes_max = 1 << 16}).has_value());
  EXPECT_TRUE(decode_frame(encoded(header), {}).has_value());
}

TEST(frame_codec, mutated_frames_do_no_harm) {
  const random_key key{.seed = 7, .subsystem = random_subsystem::faults};
  random_frames frames(7);
  uint64_t n = 0;
  size_t refused = 0, taken = 0;
  for (int round = 0; round < 20000; ++round) {
    auto bytes = encoded(frames.next(static_cast<size_t>(round) % random_frames::kinds));
    const uint64_t edits = 1 + random_below(key, n++, 4);
    for (uint64_t i = 0; i < edits; ++i) {
      auto& edited = bytes[8 + random_below(key, n++, bytes.size() - 8)];
      edited = static_cast<std::byte>(random_below(key, n++, 256));
    }
    reseal(bytes); // as if the sender had meant it
    const auto header = decode_frame(bytes, {});
    ++(header ? taken : refused);
    EXPECT_TRUE(header ? validate(*header, {}).ok() : !header.error().why().empty());
  }
  EXPECT_GT(refused, 1000u) << "the mutations never hit anything";
  EXPECT_GT(taken, 1000u) << "the mutations never reach the fields";
}

TEST(frame_codec, noise_does_no_harm) {
  const random_key key{.seed = 8, .subsystem = random_subsystem::faults};
  uint64_t n = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bytes(8 + 8 * random_below(key, n++, 32));
    for (auto& each : bytes) {
      const uint64_t value = random_below(key, n++, 512); // mostly small numbers, as headers have
      each = static_cast<std::byte>(value < 256 ? value : 0);
    }
    reseal(bytes);
    const auto header = decode_frame(bytes, {});
    EXPECT_TRUE(!header || validate(*header, {}).ok());
  }
}

TEST(frame_codec, a_list_beyond_the_limit_is_refused_before_it_is_copied) {
  node_report report;
  report.node = 1;
  report.hears.assign(1000, 5);
  const auto narrow = decode_frame(encoded(with(report)), {.nodes_max = 999});
  ASSERT_FALSE(narrow.has_value());
  EXPECT_EQ(narrow.error().why(), "frame header: too many nodes heard");
}

// -- what a voter keeps

TEST(acceptor_codec, states_come_back_as_they_were) {
  random_frames frames(9);
  for (int round = 0; round < 300; ++round) {
    const auto state = frames.acceptor();
    const auto bytes = encode_acceptor_state(state);
    ASSERT_TRUE(bytes.has_value()) << bytes.error().why();
    const auto back = decode_acceptor_state(*bytes);
    ASSERT_TRUE(back.has_value()) << back.error().why();
    EXPECT_EQ(*back, state);
  }
}

TEST(cluster_state_codec, states_come_back_as_they_were_and_damage_does_no_harm) {
  random_frames frames(11);
  const random_key key{.seed = 12, .subsystem = random_subsystem::faults};
  for (uint64_t i = 0; i < 300; ++i) {
    const auto state = frames.acceptor().value;
    auto bytes = *encode_cluster_state(state);
    EXPECT_EQ(*decode_cluster_state(bytes), state);
    bytes[random_below(key, i, bytes.size())] ^= std::byte{1};
    const auto read = decode_cluster_state(bytes);
    EXPECT_TRUE(!read || validate(*read, {}).ok());
  }
  EXPECT_FALSE(decode_cluster_state({}).has_value());
}

TEST(acceptor_codec, damaged_states_do_no_harm) {
  const random_key key{.seed = 10, .subsystem = random_subsystem::faults};
  random_frames frames(10);
  uint64_t n = 0;
  for (int round = 0; round < 5000; ++round) {
    auto bytes = *encode_acceptor_state(frames.acceptor());
    bytes[random_below(key, n++, bytes.size())] ^= std::byte{0x41};
    if (round % 3 == 0) bytes.resize(random_below(key, n++, bytes.size()));
    const auto state = decode_acceptor_state(bytes);
    EXPECT_TRUE(!state || validate(*state, {}).ok());
  }
  EXPECT_FALSE(decode_acceptor_state({}).has_value());
}

TEST(acceptor_codec, a_state_too_large_is_refused_on_both_sides) {
  acceptor_state state;
  state.value.members.resize(20);
  EXPECT_FALSE(encode_acceptor_state(state, {.nodes_max = 19}).has_value());
  EXPECT_FALSE(decode_acceptor_state(*encode_acceptor_state(state), {.nodes_max = 19}).has_value());
}

} // namespace
} // namespace troupe::schemas
