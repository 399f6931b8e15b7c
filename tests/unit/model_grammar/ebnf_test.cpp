// Grammars as rules: texts they accept and refuse, answers drawn from them, and broken ones.
#include "tests/unit/model_grammar/grammar_test.hpp"

namespace troupe::model {
namespace {

using tests::accepts;
using tests::kind;
using tests::matcher_of;
using tests::allows;
using tests::draw_answer;
using tests::refusal;

constexpr const char* sums = R"grammar(
  # sums in parentheses
  root   ::= term (("+" | '-') term)*
  term   ::= number
           | "(" root ")"
  number ::= [0-9]{1,3} ("." [0-9]+)?
)grammar";

TEST(ebnf, accepts_the_texts_of_a_grammar) {
  const auto of = matcher_of({kind::grammar, sums});
  for (const char* text : {"1", "1+2", "(1)", "((12.5-3)+(4))", "999.000"})
    EXPECT_TRUE(accepts(of, text)) << text;
  for (const char* text : {"", "1+", "(1", "1234", "1.", "1 + 2", ")", "(1))"})
    EXPECT_FALSE(accepts(of, text)) << text;
}

TEST(ebnf, counts_brackets_however_deep) {
  const auto of = matcher_of({kind::grammar, "root ::= \"(\" root? \")\""});
  EXPECT_TRUE(accepts(of, std::string(300, '(') + std::string(300, ')')));
  EXPECT_FALSE(accepts(of, std::string(300, '(') + std::string(299, ')')));
}

// At the bound on depth nothing may go deeper, and everything can still be closed.
TEST(ebnf, never_gets_stuck_at_the_bound_on_depth) {
  const auto of = matcher_of(
      {kind::grammar,
       "root ::= \"[\" root \"]\" | \"{\" pair \"}\" | \"1\"\npair ::= root \",\" root"});
  constrained_text text(of);
  int32_t depth = 0;
  while (depth < 2000 && text.add('[')) ++depth;
  EXPECT_GT(depth, 400);
  EXPECT_LT(depth, 600);
  const auto mask = text.mask();
  ASSERT_TRUE(mask.has_value());
  EXPECT_FALSE(allows(**mask, '['));
  EXPECT_TRUE(allows(**mask, '1'));
  for (size_t id = 0; id < of->words().size(); ++id) { // pieces such as "[[" and "[{\"" too
    if (!allows(**mask, id)) continue;
    constrained_text again(of);
    for (int32_t i = 0; i < depth; ++i) ASSERT_TRUE(again.add('['));
    EXPECT_TRUE(again.add(static_cast<int32_t>(id)))
        << of->words().bytes_of(static_cast<int32_t>(id));
  }
  ASSERT_TRUE(text.add('1'));
  for (int32_t i = 0; i < depth; ++i) ASSERT_TRUE(text.add(']')) << i;
  EXPECT_TRUE(text.is_over());
}

TEST(ebnf, draws_only_texts_of_the_grammar) {
  const auto of = matcher_of({kind::grammar, sums});
  size_t complete = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const auto answer = draw_answer(of, seed, 60);
    complete += answer.complete;
    if (answer.complete) {
      EXPECT_TRUE(accepts(of, answer.text)) << answer.text;
    }
  }
  EXPECT_GT(complete, 30u);
}

TEST(ebnf, reads_escapes_classes_and_repetitions) {
  const std::vector<std::pair<std::string, std::string>> good = {
      {R"(root ::= "a\"\x62\u00e9\n")", "a\"b\xC3\xA9\n"},
      {R"(root ::= 'it''s')", "its"},
      {R"(root ::= [^"\\\]]+ "]")", "ab]"},
      {R"(root ::= [a-]{2})", "-a"},
      {R"(root ::= . .)", "\xF0\x9F\x98\x80\n"},
      {"root ::= a-b_1 # no more\na-b_1 ::= \"x\"{2,} | \"\"", "xxx"},
      {"root ::= (\"a\" |)\"b\"", "b"},
      {"root::=\"a\"{ 1 , 2 }", "aa"},
  };
  for (const auto& [grammar, text] : good)
    EXPECT_TRUE(accepts({kind::grammar, grammar}, text)) << grammar;
}

TEST(ebnf, says_where_a_grammar_is_broken) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "line 1, column 1: the rule 'root' is not defined"},
      {"start ::= \"a\"", "the rule 'root' is not defined"},
      {"root ::= other", "line 1, column 10: the rule 'other' is not defined"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: the rule 'root' is defined twice"},
      {"root = \"a\"", "line 1, column 1: a rule is expected"},
      {"root ::= \"a", "line 1, column 10: the text is not ended"},
      {"root ::= [a", "line 1, column 10: the class is not ended"},
      {"root ::= []", "line 1, column 10: the class is empty"},
      {"root ::= [z-a]", "line 1, column 11: the range"},
      {"root ::= (\"a\"", "line 1, column 10: the group is not ended"},
      {"root ::= \"a\")", "line 1, column 13: this belongs to no rule"},
      {"root ::= *", "line 1, column 10: a text in quotes"},
      {"root ::= \"a\"{x}", "line 1, column 13: a repetition"},
      {"root ::= \"a\"{2,1}", "line 1, column 13: the bounds"},
      {"root ::= \"\\q\"", "line 1, column 11: the escape"},
      {"root ::= \"\\uD800\"", "this escape names no character"},
      {"root ::= root \"a\" | \"a\"", "left recursion"},
      {"root ::= b \"a\"\nb ::= \"\" | c\nc ::= b \"x\" | \"y\"", "left recursion"},
      {"root ::= empty root \"a\" | \"b\"\nempty ::= \"\"", "left recursion"},
      {"root ::= \"a\" root", "no text matches"},
      {"root ::= \"a\"" + std::string(20, '?'), "too many quantifiers"},
      {"root ::= " + std::string(300, '('), "groups in each other"},
      {"root ::= " + std::string(250, '('), "groups in each other"},
  };
  for (const auto& [grammar, why] : cases)
    EXPECT_NE(refusal({kind::grammar, grammar}).find(why), std::string::npos)
        << grammar.substr(0, 60) << ": " << refusal({kind::grammar, grammar});
}

} // namespace
} // namespace troupe::model
