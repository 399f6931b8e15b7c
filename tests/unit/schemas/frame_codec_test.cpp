// Frame headers survive the trip, and no bytes of strangers do any harm.
#include "schemas/frame_codec.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

namespace troupe::schemas {
namespace {

frame_header tensor_header() {
  frame_header out;
  out.kind = frame_kind::tensor;
  out.source_node = "node-7";
  out.source_incarnation = 3;
  out.placement_epoch = 12;
  out.step = uint64_t{1} << 40;
  out.layer = 26;
  out.target_role = "expert_shard/3";
  out.expert_ids = {4, 9, 200};
  out.row_map = {0, 5, 6};
  out.type = element_type::bf16;
  out.shape = {3, 64};
  out.payload_bytes = 3 * 64 * 2;
  out.payload_checksum = 0xfeedface;
  return out;
}

frame_header control_header() {
  frame_header out;
  out.source_node = "a";
  out.target_role = "coordinator";
  out.payload_bytes = 17;
  return out;
}

TEST(frame_codec, a_header_comes_back_as_it_was) {
  for (const auto& header : {tensor_header(), control_header()}) {
    const auto bytes = encode_header(header, {});
    ASSERT_TRUE(bytes.has_value()) << bytes.error().why();
    EXPECT_EQ(bytes->size() % 8, 0u);
    const auto back = decode_header(*bytes, {});
    ASSERT_TRUE(back.has_value()) << back.error().why();
    EXPECT_EQ(*back, header);
  }
}

TEST(frame_codec, equal_headers_have_equal_bytes) {
  EXPECT_EQ(*encode_header(tensor_header(), {}), *encode_header(tensor_header(), {}));
}

TEST(frame_codec, bytes_need_no_alignment) {
  const auto bytes = *encode_header(tensor_header(), {});
  std::vector<std::byte> shifted(bytes.size() + 1);
  std::memcpy(shifted.data() + 1, bytes.data(), bytes.size());
  EXPECT_EQ(*decode_header(std::span(shifted).subspan(1), {}), tensor_header());
}

struct refusal {
  const char* what;
  std::function<void(frame_header&)> spoil;
  status_code code = status_code::corrupt;
};

TEST(frame_codec, what_cannot_be_is_refused_on_both_sides) {
  const frame_limits narrow{
      .payload_bytes_max = 4096, .name_bytes_max = 32, .expert_ids_max = 8, .row_map_max = 8};
  const std::vector<refusal> cases = {
      {"another version", [](auto& h) { h.protocol_version = 2; }, status_code::unsupported},
      {"unknown kind", [](auto& h) { h.kind = static_cast<frame_kind>(7); }},
      {"unknown type", [](auto& h) { h.type = static_cast<element_type>(9); }},
      {"nameless source", [](auto& h) { h.source_node.clear(); }},
      {"long source", [](auto& h) { h.source_node.assign(33, 'x'); }},
      {"long role", [](auto& h) { h.target_role.assign(33, 'x'); }},
      {"zero in a name", [](auto& h) { h.source_node = std::string("a\0b", 3); }},
      {"many experts", [](auto& h) { h.expert_ids.resize(9); }},
      {"many rows",
       [](auto& h) {
         h.row_map.resize(9);
         h.shape[0] = 9;
         h.payload_bytes = 9 * 64 * 2;
       }},
      {"many dimensions",
       [](auto& h) {
         h.shape = {1, 1, 1, 1, 1};
         h.payload_bytes = 2;
       }},
      {"large payload",
       [](auto& h) {
         h.shape = {3, 6400};
         h.payload_bytes = 3 * 6400 * 2;
       }},
      {"payload against shape", [](auto& h) { h.payload_bytes -= 1; }},
      {"row map against shape", [](auto& h) { h.row_map.pop_back(); }},
      {"untyped tensor",
       [](auto& h) {
         h.type = element_type::none;
         h.payload_bytes = 0;
       }},
      {"shapeless tensor", [](auto& h) { h.shape.clear(); }},
      {"overflowing shape",
       [](auto& h) {
         h.shape = {uint64_t{1} << 63, 4};
         h.row_map.clear();
         h.payload_bytes = 0;
       }},
  };
  const frame_limits wide;
  for (const auto& each : cases) {
    auto header = tensor_header();
    each.spoil(header);
    const auto written = encode_header(header, narrow);
    ASSERT_FALSE(written.has_value()) << each.what;
    EXPECT_EQ(written.error().code(), each.code) << each.what << ": " << written.error().why();
    // What only exceeds narrow limits can be written with wide ones, and must then be refused when
    // read.
    const auto bytes = encode_header(header, wide);
    EXPECT_TRUE(!bytes || !decode_header(*bytes, narrow).has_value()) << each.what;
  }
}

TEST(frame_codec, a_header_too_long_is_refused) {
  auto header = tensor_header();
  header.row_map.resize(60000);
  header.shape[0] = 60000;
  header.payload_bytes = 60000 * 64 * 2;
  EXPECT_FALSE(encode_header(header, {.header_bytes_max = 1 << 16}).has_value());
  const auto bytes = encode_header(header, {});
  ASSERT_TRUE(bytes.has_value()) << bytes.error().why();
  EXPECT_FALSE(decode_header(*bytes, {.header_bytes_max = 1 << 16}).has_value());
}

TEST(frame_codec, every_truncation_is_refused) {
  const auto bytes = *encode_header(tensor_header(), {});
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto header = decode_header(std::span(bytes).first(length), {});
    ASSERT_FALSE(header.has_value()) << length;
    EXPECT_EQ(header.error().code(), status_code::corrupt);
  }
}

TEST(frame_codec, bytes_after_the_header_are_refused) {
  auto bytes = *encode_header(tensor_header(), {});
  bytes.resize(bytes.size() + 8);
  EXPECT_FALSE(decode_header(bytes, {}).has_value());
}

// Whatever is read is within the limits: that is all a reader may rely on.
void expect_within_limits(const frame_header& header) {
  EXPECT_TRUE(validate(header, {}).ok());
}

TEST(frame_codec, mutated_headers_do_no_harm) {
  const random_key key{.seed = 1, .subsystem = random_subsystem::faults};
  uint64_t n = 0, refused = 0;
  const auto original = *encode_header(tensor_header(), {});
  for (int round = 0; round < 20000; ++round) {
    auto bytes = original;
    const uint64_t edits = 1 + random_below(key, n++, 4);
    for (uint64_t i = 0; i < edits; ++i) {
      auto& edited = bytes[random_below(key, n++, bytes.size())];
      edited = static_cast<std::byte>(random_below(key, n++, 256));
    }
    if (const auto header = decode_header(bytes, {}))
      expect_within_limits(*header);
    else
      ++refused;
  }
  EXPECT_GT(refused, 1000u) << "the mutations never hit anything";
}

TEST(frame_codec, noise_does_no_harm) {
  const random_key key{.seed = 2, .subsystem = random_subsystem::faults};
  uint64_t n = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bytes(8 * random_below(key, n++, 32));
    for (auto& each : bytes) {
      const uint64_t value = random_below(key, n++, 512); // mostly small numbers, as headers have
      each = static_cast<std::byte>(value < 256 ? value : 0);
    }
    if (const auto header = decode_header(bytes, {})) expect_within_limits(*header);
  }
}

TEST(frame_codec, the_checksum_sees_every_bit_and_the_length) {
  std::vector<std::byte> payload(67, std::byte{0x5a});
  const uint64_t original = checksum_of(payload);
  for (size_t bit = 0; bit < payload.size() * 8; ++bit) {
    payload[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_NE(checksum_of(payload), original) << bit;
    payload[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
  }
  EXPECT_EQ(checksum_of(payload), original);
  EXPECT_NE(checksum_of(std::vector<std::byte>(8)), checksum_of(std::vector<std::byte>(16)));
  // Pinned: nodes of different builds must agree.
  EXPECT_EQ(original, uint64_t{0x3a4b4413d7c6525d});
}

} // namespace
} // namespace troupe::schemas
