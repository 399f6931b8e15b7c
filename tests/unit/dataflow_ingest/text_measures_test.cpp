// Counting, and the guess of a language.
#include "dataflow/ingest/text_measures.hpp"

#include "dataflow/ingest/quality_rules.hpp"
#include "tests/unit/dataflow_ingest/texts.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

TEST(text_measures, counts_words_lines_and_signs) {
  const auto m = measure("# Title\n\n- one, (two)!\n* three... \n  four\u2026\n12 -- 'don't' \n");
  EXPECT_EQ(m.words, 11u); // "#" and "--" too
  EXPECT_EQ(m.words_with_letter, 6u);
  EXPECT_EQ(m.word_characters, 5u + 3 + 3 + 5 + 4 + 2 + 5);
  EXPECT_EQ(m.hashes, 1u);
  EXPECT_EQ(m.ellipses, 2u);
  EXPECT_EQ(m.lines, 5u);
  EXPECT_EQ(m.bullet_lines, 2u);
  EXPECT_EQ(m.ellipsis_lines, 2u);
  EXPECT_EQ(m.broken_bytes, 0u);
}

TEST(text_measures, counts_what_is_no_text) {
  const auto m = measure(std::string("a\x01\x02\tb\n\xFF\xFE", 8));
  EXPECT_EQ(m.controls, 2u);
  EXPECT_EQ(m.broken_bytes, 2u);
  EXPECT_EQ(m.characters, 6u);
  EXPECT_EQ(measure("").difficulty(), 0u);
}

TEST(text_measures, harder_texts_have_longer_sentences_and_words) {
  const auto easy = measure("The dog ran. The cat sat. It was hot.");
  const auto hard = measure(
      "Notwithstanding considerable institutional reluctance, representatives "
      "unanimously recommended comprehensive administrative restructuring.");
  EXPECT_EQ(easy.difficulty(), 300u);              // three words a sentence, none long
  EXPECT_EQ(hard.difficulty(), 1000u + 100 * 100); // ten words, all long
}

TEST(text_measures, knows_languages_by_their_commonest_words) {
  EXPECT_EQ(language_of(measure(english)), "en");
  EXPECT_EQ(language_of(measure(german)), "de");
  EXPECT_EQ(language_of(measure(french)), "fr");
  EXPECT_EQ(language_of(measure(russian)), "cyrillic");
  EXPECT_EQ(language_of(measure(code)), "unknown");
  EXPECT_EQ(language_of(measure(made_up(1, 200))), "unknown");
  EXPECT_EQ(language_of(measure("")), "unknown");
}

TEST(quality_rules, prose_passes_and_code_does_not) {
  const quality_rules rules;
  EXPECT_EQ(find_fault(measure(english), rules), std::nullopt);
  EXPECT_EQ(find_fault(measure(german), rules), std::nullopt);
  EXPECT_TRUE(find_fault(measure(code), rules).has_value());
}

TEST(quality_rules, each_rule_finds_its_fault) {
  const auto many = [](std::string_view what, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += what;
    return out;
  };
  const quality_rules rules{.words_max = 1000};
  const std::string prose(english);
  const std::vector<std::pair<std::string, quality_fault>> cases = {
      {"the cat and the dog", quality_fault::few_words},
      {many("the cat and ", 400), quality_fault::many_words},
      {many("of to ", 40), quality_fault::short_words},
      {many("the internationalisation and ", 30) + many("internationalisation ", 60),
       quality_fault::long_words},
      {prose + many(" #", 12), quality_fault::hashes},
      {prose + many(" mountains... there", 20), quality_fault::ellipses},
      {many("- the cat and the dog were with that\n", 12), quality_fault::bullet_lines},
      {prose + "\n" + many("and that was the end of it for all of them here...\n", 3),
       quality_fault::ellipsis_lines},
      {prose + many(" 12345", 30), quality_fault::words_without_letters},
      {made_up(3, 100), quality_fault::few_common_words},
  };
  for (const auto& [text, fault] : cases) {
    const auto found = find_fault(measure(text), rules);
    ASSERT_TRUE(found.has_value()) << name_of(fault);
    EXPECT_EQ(name_of(*found), name_of(fault));
  }
}

} // namespace
} // namespace troupe::dataflow
