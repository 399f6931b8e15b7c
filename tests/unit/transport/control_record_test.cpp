// Control records and the stream they travel on.
#include "transport/session/control_record.hpp"

#include "base/random.hpp"
#include "transport/session/hello.hpp"
#include "transport/session/record_stream.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace troupe::transport {
namespace {

using bytes = std::vector<std::byte>;

std::vector<control_record> samples() {
  return {verdict_record{session_verdict::stale},
          heartbeat_record{0x1122334455667788},
          book_record{{{{"a", 1}, "h:1"}, {{"b", 2}, "[::1]:2"}}},
          book_record{},
          data_path_record{bytes(50, std::byte{9})},
          description_record{12, bytes(100, std::byte{3})},
          farewell_record{}};
}

TEST(control_record_test, every_kind_survives_the_way) {
  for (const auto& record : samples())
    EXPECT_EQ(decode_control_record(encode(record)).value(), record);
}

TEST(control_record_test, cut_or_lengthened_records_are_refused) {
  for (const auto& record : samples()) {
    const auto wire = encode(record);
    auto longer = wire;
    longer.push_back(std::byte{0});
    if (!std::holds_alternative<description_record>(record)) { // it ends where the record ends
      EXPECT_FALSE(decode_control_record(longer).has_value());
      for (size_t cut = 0; cut < wire.size(); ++cut)
        EXPECT_FALSE(decode_control_record(std::span(wire).first(cut)).has_value());
    }
  }
}

TEST(control_record_test, an_address_book_holds_only_names_and_addresses) {
  EXPECT_FALSE(decode_control_record(encode(book_record{{{{"a b", 1}, "h:1"}}})).has_value());
  EXPECT_FALSE(decode_control_record(encode(book_record{{{{"a", 1}, "h"}}})).has_value());
  auto many = encode(book_record{});
  many[1] = many[2] = std::byte{0xff};
  EXPECT_FALSE(decode_control_record(many).has_value());
}

TEST(control_record_test, survives_random_bytes) {
  const random_key key{4, random_subsystem::faults, 8};
  uint64_t n = 0;
  const auto all = samples();
  for (int round = 0; round < 100'000; ++round) {
    bytes noise = round % 2 == 0 ? encode(all[random_below(key, n++, all.size())])
                                 : bytes(random_below(key, n++, 60));
    for (auto& each : noise)
      if (round % 2 != 0 || random_below(key, n++, 8) == 0)
        each = static_cast<std::byte>(random_bits(key, n++));
    const auto got = decode_control_record(noise);
    if (!got) {
      ASSERT_FALSE(got.error().why().empty());
      continue;
    }
    ASSERT_EQ(decode_control_record(encode(*got)).value(), *got);
  }
}

TEST(record_stream_test, records_may_come_in_any_pieces) {
  bytes wire;
  for (size_t i = 0; i < 20; ++i) append_record(wire, bytes(i * 7, static_cast<std::byte>(i)));
  for (const size_t piece : {1, 3, 64, 10'000}) {
    record_reader reader(200);
    size_t got = 0;
    for (size_t at = 0; at < wire.size(); at += piece) {
      reader.add(std::span(wire).subspan(at, std::min(piece, wire.size() - at)));
      for (auto record = reader.next(); record->has_value(); record = reader.next(), ++got)
        EXPECT_EQ(**record, bytes(got * 7, static_cast<std::byte>(got)));
    }
    EXPECT_EQ(got, 20u);
    EXPECT_EQ(reader.waiting(), 0u);
  }
}

TEST(record_stream_test, refuses_a_record_beyond_its_limit_at_once) {
  record_reader reader(100);
  bytes wire;
  append_record(wire, bytes(101));
  reader.add(std::span(wire).first(4));
  EXPECT_EQ(reader.next().error().code(), status_code::corrupt);
}

TEST(record_stream_test, sealed_records_cannot_be_repeated_left_out_or_swapped) {
  const auto key = secret::random();
  record_sealer sealer(aead_key(key, "x", {}));
  const auto first = sealer.seal(bytes(5, std::byte{1})),
             second = sealer.seal(bytes(6, std::byte{2}));
  record_opener swapped(aead_key(key, "x", {}));
  EXPECT_FALSE(swapped.open(second).has_value());
  record_opener opener(aead_key(key, "x", {}));
  EXPECT_EQ(opener.open(first).value(), bytes(5, std::byte{1}));
  EXPECT_FALSE(opener.open(first).has_value());
  EXPECT_EQ(opener.open(second).value(), bytes(6, std::byte{2}));
  EXPECT_FALSE(opener.open(bytes(3)).has_value());
}

} // namespace
} // namespace troupe::transport
