// Patterns against PCRE2: what is drawn matches, and any text is accepted by both or by neither.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tests/unit/model_grammar/grammar_test.hpp"

#include <pcre2.h>

namespace troupe::model {
namespace {

using tests::accepts;
using tests::kind;
using tests::matcher_of;
using tests::draw_answer;
using tests::refusal;

bool pcre2_matches(const std::string& pattern, std::string_view subject) {
  int error = 0;
  size_t at = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &at, nullptr);
  EXPECT_NE(code, nullptr) << pattern;
  if (code == nullptr) return false;
  pcre2_match_data* data = pcre2_match_data_create_from_pattern(code, nullptr);
  const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(),
                                0, 0, data, nullptr);
  pcre2_match_data_free(data);
  pcre2_code_free(code);
  return found > 0;
}

const std::vector<std::string> patterns = {
    "abc",
    "",
    "a*",
    "(ab|c)+",
    "a{2}b{1,3}c{2,}",
    "(a|b|ab)*c",
    "[a-c]+?[^ab]",
    "\\d{1,3}(\\.\\d+)?",
    "[\\w-]+@\\w+\\.(com|org)",
    "^ab$|^b+$",
    "(?:ab)?(?<n>c)",
    "\\$\\{[a-z]{0,4}\\}",
    "[^\\d\\s]{2}",
    "\\x61\\u0062",
    "é+[à-ü]?",
    "((a{0,2}){0,2}b){0,2}",
    "a{,2}",
    "[a\\]]",
    "(a*)*b",
    "[^a]\\S\\W",
};

std::string regex_of(const std::string& pattern) {
  std::string out = pattern;
  for (size_t i = 0; (i = out.find("\\u0062", i)) != std::string::npos;)
    out.replace(i, 6, "\\x{62}");
  return out;
}

TEST(regex, what_is_drawn_matches) {
  for (const auto& pattern : patterns) {
    const auto of = matcher_of({kind::regex, pattern});
    ASSERT_NE(of, nullptr);
    size_t complete = 0;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const auto answer = draw_answer(of, seed, 60);
      complete += answer.complete;
      if (answer.complete) {
        EXPECT_TRUE(pcre2_matches(regex_of(pattern), answer.text))
            << pattern << ": " << answer.text;
      }
    }
    EXPECT_GT(complete, 0u) << pattern;
  }
}

TEST(regex, accepts_what_another_engine_accepts) {
  const random_key key{7, random_subsystem::workload, 0};
  uint64_t n = 0;
  const std::vector<std::string> letters = {"a", "b", "c", "1", ".", "@", "com", "é",  "$",
                                            "{", "}", "]", "-", " ", ",", "2",   "ab", "B"};
  size_t matched = 0;
  for (const auto& pattern : patterns) {
    const auto of = matcher_of({kind::regex, pattern});
    ASSERT_NE(of, nullptr);
    for (int i = 0; i < 400; ++i) {
      std::string subject;
      for (uint64_t left = random_below(key, n++, 7); left > 0; --left)
        subject += letters[random_below(key, n++, i % 2 == 0 ? 3 : letters.size())];
      const bool other = pcre2_matches(regex_of(pattern), subject);
      matched += other;
      EXPECT_EQ(accepts(of, subject), other) << pattern << ": " << subject;
    }
  }
  EXPECT_GT(matched, 100u);
}

TEST(regex, a_dot_is_any_character_but_a_line_end) {
  const auto of = matcher_of({kind::regex, "a.c"});
  for (const char* text : {"abc",
                           "a\xC3\xA9"
                           "c",
                           "a\xF0\x9F\x98\x80"
                           "c"})
    EXPECT_TRUE(accepts(of, text));
  for (const char* text : {"a\nc", "a\rc", "ac",
                           "a\xC3"
                           "c",
                           "a\xED\xA0\x80"
                           "c"})
    EXPECT_FALSE(accepts(of, text));
}

TEST(regex, refuses_what_it_cannot_do_and_says_where) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"ab(", "position 3: the group is not ended"},
      {"ab)", "position 3: there is no group"},
      {"a(?=b)", "position 2: look-around"},
      {"(?<!b)a", "position 1: look-around"},
      {"(a)\\1", "position 4: references"},
      {"a\\b", "position 2: word boundaries"},
      {"\\p{L}", "position 1: character properties"},
      {"(?i)a", "position 1: flags"},
      {"a++", "position 3: possessive"},
      {"a**", "position 3: there is nothing to repeat"},
      {"*a", "position 1: there is nothing to repeat"},
      {"{2}", "position 1: there is nothing to repeat"},
      {"a{3,2}", "position 2: the bounds"},
      {"[ab", "position 1: the class is not ended"},
      {"[]", "position 2: a class must not be empty"},
      {"[z-a]", "position 2: the range"},
      {"[\\d-z]", "position 2: the range"},
      {"[[:alpha:]]", "position 2: named classes"},
      {"a^b", "position 2: '^'"},
      {"a$b", "position 2: '$'"},
      {"(a$)", "position 3: '$'"},
      {"\\", "position 1: nothing follows"},
      {"\\q", "position 1: the escape \\q"},
      {"\\ud800", "position 1: this escape names no character"},
      {"\xff", "position 1: this is no UTF-8"},
      {"a{200000}", "position 2: repetitions of more than"},
      {"((a{300}){300}){300}", "too large"},
      {"[^\\s\\S]", "no text matches"},
      {std::string(300, '(') + std::string(300, ')'), "groups in each other"},
  };
  for (const auto& [pattern, why] : cases)
    EXPECT_NE(refusal({kind::regex, pattern}).find(why), std::string::npos)
        << pattern.substr(0, 40) << ": " << refusal({kind::regex, pattern});
}

} // namespace
} // namespace troupe::model
