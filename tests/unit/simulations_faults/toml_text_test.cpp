// Durations are exact, and mistakes in a table are told with their place and the nearest key.
#include "simulations/faults/toml_text.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations {
namespace {

TEST(toml_text, durations_are_exact) {
  const std::vector<std::pair<std::string, int64_t>> cases = {
      {"300ms", 300'000'000},   {"1.5s", 1'500'000'000}, {"2s", 2'000'000'000},   {"7ns", 7},
      {"0.000000001s", 1},      {"1.0000us", 1'000},     {"2m", 120'000'000'000}, {"0ms", 0},
      {"1h", 3'600'000'000'000}};
  for (const auto& [text, nanoseconds] : cases) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed.has_value()) << text << ": " << parsed.error().why();
    EXPECT_EQ(parsed->count(), nanoseconds) << text;
    EXPECT_EQ(parse_duration(write_duration(*parsed)), *parsed) << text;
  }
}

TEST(toml_text, what_is_no_duration_is_refused) {
  for (const auto* text : {"", "ms", "3", "-1s", "1.s", ".5s", "1.2.3s", "1 s", "0.1ns", "1.0005us",
                           "99999999999999999h", "1e3s", "1S"})
    EXPECT_FALSE(parse_duration(text).has_value()) << text;
}

TEST(toml_text, quoted_texts_read_back) {
  const std::string text = "a \"quote\", a \\ and\n\ta \x01 line";
  const auto document = read_toml("key = " + toml_quoted(text) + "\n", "x.toml");
  ASSERT_TRUE(document.has_value()) << document.error().why();
  EXPECT_EQ(document->find("key")->text, text);
}

TEST(toml_text, broken_toml_is_told_with_its_place) {
  const auto broken = read_toml("a = 1\nb = \"open", "x.toml");
  ASSERT_FALSE(broken.has_value());
  EXPECT_TRUE(broken.error().why().starts_with("x.toml:2:")) << broken.error().why();
}

TEST(toml_text, the_first_mistake_of_a_table_sticks) {
  const auto document = read_toml("count = \"three\"\nnmae = 1\n", "x.toml");
  ASSERT_TRUE(document.has_value());
  table_reader reader(*document, "", "x.toml");
  uint32_t count = 5;
  std::string name;
  reader.take("count", count, 0u, 9u);
  reader.take("name", name);
  const auto done = reader.finish();
  EXPECT_EQ(done.why(), "x.toml:1:1: count must be a whole number");
  EXPECT_EQ(count, 5u);
}

TEST(toml_text, unknown_keys_get_the_nearest_known_one) {
  const auto document = read_toml("name = \"a\"\ncuont = 1\n", "x.toml");
  ASSERT_TRUE(document.has_value());
  table_reader reader(*document, "box", "x.toml");
  uint32_t count = 0;
  std::string name;
  reader.take("count", count, 0u, 9u);
  reader.take("name", name);
  EXPECT_EQ(reader.finish().why(), "x.toml:2:1: box.cuont is no setting; did you mean count?");
}

} // namespace
} // namespace troupe::simulations
