// Phrases that are found, and those that are only nearly there.
#include "dataflow/ingest/blocklist.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

blocklist list_of(std::string_view lines) {
  auto made = blocklist::parse(lines, "blocked.txt");
  EXPECT_TRUE(made.has_value());
  return std::move(*made);
}

TEST(blocklist, sees_through_case_and_white_space) {
  const auto list = list_of("# comment\n\n  Secret  Sauce \n\u00C4rger\n\u7981\u6B62\n");
  EXPECT_EQ(list.phrases().size(), 3u);
  EXPECT_EQ(list.find("the SECRET\n\tsauce is"), 0u);
  EXPECT_EQ(list.find("viel \u00E4rger!"), 1u);
  EXPECT_EQ(list.find("\u8FD9\u662F\u7981\u6B62\u7684"), 2u);
  EXPECT_EQ(list.find("secret, sauce"), std::nullopt);
  EXPECT_EQ(list.find("secret saucer"), std::nullopt);
  EXPECT_EQ(list.find("topsecret sauce"), std::nullopt);
  EXPECT_EQ(list.find(""), std::nullopt);
  EXPECT_EQ(blocklist().find("anything"), std::nullopt);
}

TEST(blocklist, finds_a_short_phrase_within_the_beginning_of_a_longer_one) {
  const auto list = list_of("a b c d\nb c\n(x)\n");
  EXPECT_EQ(list.find("a b c e"), 1u);
  EXPECT_EQ(list.find("a b c d"), 1u); // it ends first
  EXPECT_EQ(list.find("f(x)=y"), 2u);
}

TEST(blocklist, finds_what_searching_for_each_phrase_finds) {
  const random_key key{.seed = 5, .subsystem = random_subsystem::workload, .entity = 1};
  uint64_t draw = 0;
  const auto letters = [&](uint64_t count) {
    std::string out;
    for (uint64_t i = 0; i < count; ++i) out += "ab-"[random_below(key, draw++, 3)];
    return out;
  };
  int found = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string lines;
    std::vector<std::string> phrases;
    for (int i = 0; i < 3; ++i)
      phrases.push_back("-" + letters(1 + random_below(key, draw++, 4)) + "-");
    for (const auto& phrase : phrases) lines += phrase + "\n";
    const std::string text = letters(12);
    bool there = false;
    for (const auto& phrase : phrases) there |= text.find(phrase) != std::string::npos;
    ASSERT_EQ(list_of(lines).find(text).has_value(), there) << lines << text;
    found += there ? 1 : 0;
  }
  EXPECT_GT(found, 200);
  EXPECT_LT(found, 1800);
}

TEST(blocklist, refuses_lines_that_are_no_phrases) {
  EXPECT_EQ(blocklist::parse("fine\n\xFF\n", "b.txt").error().why(), "b.txt:2: is no UTF-8");
  EXPECT_EQ(blocklist::parse(std::string(2000, 'x'), "b.txt").error().code(),
            status_code::invalid_argument);
}

} // namespace
} // namespace troupe::dataflow
