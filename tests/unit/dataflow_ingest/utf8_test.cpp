// Decoding, small letters and words.
#include "dataflow/ingest/utf8.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace troupe::dataflow {
namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> out;
  for (word_scanner words(text); words.next();) out.push_back(words.word());
  return out;
}

TEST(utf8, every_character_comes_back_as_it_was_written) {
  for (char32_t point = 0; point <= 0x10FFFF; ++point) {
    if (point == 0xD800) point = 0xE000;
    std::string bytes;
    append_utf8(bytes, point);
    const auto read = character_at(bytes, 0);
    ASSERT_EQ(read.point, point);
    ASSERT_EQ(read.bytes, bytes.size());
  }
}

TEST(utf8, what_is_overlong_cut_off_or_a_surrogate_is_no_character) {
  for (const std::string_view bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xC3", "\xE2\x82",
        "\xF0\x9F\x98", "\xC3(", "\xFF"}) {
    EXPECT_EQ(character_at(bad, 0).point, no_character) << bad;
    EXPECT_EQ(character_at(bad, 0).bytes, 1u);
    EXPECT_FALSE(is_utf8(bad));
  }
  EXPECT_TRUE(is_utf8("caf\u00E9 \U0001F600 \u4F60"));
  EXPECT_TRUE(is_utf8(""));
}

TEST(utf8, capitals_become_small_in_three_writings) {
  for (const auto& [capital, small] :
       std::vector<std::pair<char32_t, char32_t>>{{U'A', U'a'},
                                                  {U'Z', U'z'},
                                                  {U'\u00C4', U'\u00E4'},
                                                  {U'\u00D7', U'\u00D7'},
                                                  {U'\u0160', U'\u0161'},
                                                  {U'\u0141', U'\u0142'},
                                                  {U'\u0391', U'\u03B1'},
                                                  {U'\u03A9', U'\u03C9'},
                                                  {U'\u0416', U'\u0436'},
                                                  {U'\u0401', U'\u0451'},
                                                  {U'1', U'1'},
                                                  {U'\u4E00', U'\u4E00'}}) {
    EXPECT_EQ(in_small(capital), small) << static_cast<uint32_t>(capital);
    EXPECT_EQ(in_small(small), small);
  }
}

TEST(utf8, words_are_runs_of_letters_and_digits) {
  using list = std::vector<std::string>;
  EXPECT_EQ(words_of("Don't  STOP, 3 caf\u00C9s!"), (list{"don", "t", "stop", "3", "caf\u00E9s"}));
  EXPECT_EQ(words_of("\u4F60\u597Dok"), (list{"\u4F60", "\u597D", "ok"}));
  EXPECT_EQ(words_of("ok\u4F60"), (list{"ok", "\u4F60"}));
  EXPECT_EQ(words_of("a\xFF"
                     "b"),
            (list{"a", "b"}));
  EXPECT_EQ(words_of(" .,- "), list{});
}

TEST(utf8, letters_know_their_script) {
  EXPECT_EQ(script_of('x'), script::latin);
  EXPECT_EQ(script_of(0x3C9), script::greek);
  EXPECT_EQ(script_of(0x44F), script::cyrillic);
  EXPECT_EQ(script_of(0x5D0), script::hebrew);
  EXPECT_EQ(script_of(0x4E2D), script::han);
  EXPECT_EQ(script_of(0x3042), script::kana);
  EXPECT_EQ(script_of(0xAC00), script::hangul);
  EXPECT_EQ(script_of('7'), script::none);
  EXPECT_EQ(script_of(0x20AC), script::none);
  EXPECT_EQ(script_of(0x10FFFF), script::none);
}

} // namespace
} // namespace troupe::dataflow
