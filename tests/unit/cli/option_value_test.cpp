// Reading and writing the values of settings.
#include "cli/option_value.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace troupe::cli {
namespace {

template <class Value>
std::optional<Value> read(std::string_view from) {
  Value out{};
  if (!parse_value(from, out).ok()) return std::nullopt;
  return out;
}

TEST(option_value, reads_whole_numbers_strictly) {
  EXPECT_EQ(read<uint32_t>("42"), 42u);
  EXPECT_EQ(read<int32_t>("-7"), -7);
  EXPECT_EQ(read<uint64_t>("18446744073709551615"), std::numeric_limits<uint64_t>::max());
  for (const char* wrong : {"", " 1", "1 ", "1.0", "0x10", "ten", "-1", "4294967296", "1e3", "+1"})
    EXPECT_EQ(read<uint32_t>(wrong), std::nullopt) << wrong;
}

TEST(option_value, says_the_range_of_a_type) {
  uint16_t port = 1;
  EXPECT_EQ(parse_value("70000", port).why(), "it must be from 0 to 65535");
  EXPECT_EQ(port, 1) << "a failure changes nothing";
}

TEST(option_value, reads_real_numbers_but_not_infinity) {
  EXPECT_EQ(read<float>("0.25"), 0.25f);
  EXPECT_EQ(read<double>("-1e-3"), -1e-3);
  for (const char* wrong : {"", "nan", "inf", "1,5", "1.5x"})
    EXPECT_EQ(read<float>(wrong), std::nullopt) << wrong;
  EXPECT_EQ(read<float>("1e300"), std::nullopt);
}

TEST(option_value, reads_truth_in_the_usual_words) {
  for (const char* yes : {"true", "TRUE", "1", "yes", "on"})
    EXPECT_EQ(read<bool>(yes), true) << yes;
  for (const char* no : {"false", "0", "No", "off"}) EXPECT_EQ(read<bool>(no), false) << no;
  EXPECT_EQ(read<bool>("maybe"), std::nullopt);
}

TEST(option_value, reads_bytes_with_units) {
  const auto bytes = [](std::string_view from) {
    const auto size = read<byte_size>(from);
    return size ? std::optional(size->bytes) : std::nullopt;
  };
  EXPECT_EQ(bytes("0"), 0u);
  EXPECT_EQ(bytes("4096"), 4096u);
  EXPECT_EQ(bytes("512M"), uint64_t{512} << 20);
  EXPECT_EQ(bytes("1.5GiB"), uint64_t{3} << 29);
  EXPECT_EQ(bytes("2 GB"), 2'000'000'000u);
  EXPECT_EQ(bytes("1k"), 1024u);
  EXPECT_EQ(bytes("3T"), uint64_t{3} << 40);
  for (const char* wrong : {"", "M", "-1M", "1X", "1MM", "1.2.3M", "99999999T"})
    EXPECT_EQ(bytes(wrong), std::nullopt) << wrong;
}

TEST(option_value, reads_a_bias) {
  const auto bias = read<token_bias>("42=-1.5");
  ASSERT_TRUE(bias.has_value());
  EXPECT_EQ(bias->token, 42);
  EXPECT_EQ(bias->bias, -1.5f);
  for (const char* wrong : {"42", "=1", "a=1", "42=", "42=x"})
    EXPECT_FALSE(read<token_bias>(wrong).has_value()) << wrong;
}

TEST(option_value, what_is_shown_reads_back) {
  EXPECT_EQ(show_value(byte_size{uint64_t{3} << 29}), "\"1536M\"");
  EXPECT_EQ(show_value(byte_size{1000}), "1000");
  EXPECT_EQ(show_value(0.8f), "0.8");
  EXPECT_EQ(show_value(true), "true");
  EXPECT_EQ(show_value(std::numeric_limits<uint64_t>::max()), "\"18446744073709551615\"");
  EXPECT_EQ(show_value(std::string("a\"b\\c\n\x01")), "\"a\\\"b\\\\c\\n\\u0001\"");
}

TEST(option_value, ranges_read_as_people_write_them) {
  EXPECT_EQ(range_text({0, 16777216}), "0 to 16777216");
  EXPECT_EQ(range_text({-2, 0.5}), "-2 to 0.5");
  EXPECT_TRUE(check_range(2, {1, 2}).ok());
  EXPECT_EQ(check_range(3, {1, 2}).why(), "it must be from 1 to 2");
}

TEST(option_value, bytes_for_people) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(uint64_t{200} << 30), "200 GiB");
}

} // namespace
} // namespace troupe::cli
