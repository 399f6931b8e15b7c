// Masks: put together from shared views they are what one gets by trying every token.
#include "tests/unit/model_grammar/grammar_test.hpp"

namespace troupe::model {
namespace {

using tests::accepts;
using tests::allows;
using tests::draw_answer;
using tests::kind;
using tests::matcher_of;
using tests::refusal;
using tests::some_words;

// The mask by the definition: a token may come when its bytes may.
void expect_right_mask(const std::shared_ptr<matcher>& of, std::string_view text) {
  constrained_text under_way(of);
  for (const char byte : text) ASSERT_TRUE(under_way.add(static_cast<uint8_t>(byte))) << text;
  const auto mask = under_way.mask();
  ASSERT_TRUE(mask.has_value());
  for (size_t id = 0; id < of->words().size(); ++id) {
    constrained_text again(of);
    for (const char byte : text) ASSERT_TRUE(again.add(static_cast<uint8_t>(byte)));
    EXPECT_EQ(again.add(static_cast<int32_t>(id)), allows(**mask, id))
        << "after " << text << ": " << of->words().bytes_of(static_cast<int32_t>(id));
  }
}

TEST(matcher, masks_are_what_trying_every_token_gives) {
  const constraint person{
      kind::json_schema,
      R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},
          "tags":{"type":"array","items":{"type":"string","maxLength":3}}},"required":["name"]})"};
  for (const char* text : {"", "{", "{\"na", "{\"name\": \"", "{\"name\":\"\xE2", "{\"name\":\"a\\",
                           "{\"name\":\"a\\ud83d", "{\"name\":\"a\", \"age\":1",
                           "{\"name\":\"a\", \"tags\": [\"a", "{\"name\":\"a\", \"tags\":[]"})
    expect_right_mask(matcher_of(person), text);
  for (const char* text : {"", "{\"a\":[[1,{\"b\":\"c", "{\"a\":-1", "{\"a\":1.5", "{\"\":[]"})
    expect_right_mask(matcher_of({kind::json_object, ""}), text);
  for (const char* text : {"", "ab", "abca"})
    expect_right_mask(matcher_of({kind::regex, "(a|b|c|ab|bca)*x"}), text);
}

TEST(matcher, answers_do_not_depend_on_what_was_asked_before) {
  const constraint any{kind::json_object, ""};
  matcher_limits tight;
  tight.cache_bytes_max = 20'000; // begins anew all the time
  const auto forgetful = matcher_of(any, some_words(), tight);
  const auto fresh = matcher_of(any);
  for (uint64_t seed = 0; seed < 20; ++seed)
    EXPECT_EQ(draw_answer(forgetful, seed, 60).text, draw_answer(fresh, seed, 60).text);
  EXPECT_GT(forgetful->counters().cache_flushes, 10u);
  EXPECT_EQ(fresh->counters().cache_flushes, 0u);
}

TEST(matcher, texts_under_way_outlast_a_cache_that_begins_anew) {
  matcher_limits tight;
  tight.cache_bytes_max = 20'000;
  const auto of = matcher_of({kind::json_object, ""}, some_words(), tight);
  constrained_text slow(of);
  for (const char byte : std::string("{\"a\":[{\"b\":["))
    ASSERT_TRUE(slow.add(static_cast<uint8_t>(byte)));
  for (uint64_t seed = 0; seed < 5; ++seed) draw_answer(of, seed, 60);
  EXPECT_GT(of->counters().cache_flushes, 0u);
  for (const char byte : std::string("1]}]}")) ASSERT_TRUE(slow.add(static_cast<uint8_t>(byte)));
  EXPECT_TRUE(slow.is_over());
}

TEST(matcher, a_state_seen_before_costs_no_walk) {
  const auto of = matcher_of({kind::json_object, ""});
  constrained_text first(of);
  constrained_text second(of);
  for (auto* text : {&first, &second})
    for (const char byte : std::string("{\"a\":\"b")) {
      ASSERT_TRUE(text->mask().has_value());
      ASSERT_TRUE(text->add(static_cast<uint8_t>(byte)));
    }
  EXPECT_EQ(of->counters().masks_asked, 14u);
  EXPECT_LE(of->counters().masks_made, 6u); // within a string all places are one
}

// What no token spells is no part of the grammar: no answer can come to where it would be needed.
TEST(matcher, leaves_out_what_the_vocabulary_cannot_spell) {
  const auto words =
      std::make_shared<const vocabulary>(std::vector<std::string>{"a", "b", "", "abx", "ay"});
  const auto of = matcher_of({kind::regex, "(ab|ax|b[xy])+"}, words);
  constrained_text text(of);
  ASSERT_TRUE(text.add(0));
  const auto mask = text.mask();
  ASSERT_TRUE(mask.has_value());
  EXPECT_EQ((**mask)[0], 0b00010u); // b; nothing but "abx" could follow with an x
  const auto none = compile({kind::regex, "x+"}, words->single_bytes());
  ASSERT_FALSE(none.has_value());
  EXPECT_NE(none.error().why().find("no text matches"), std::string::npos);
}

TEST(matcher, too_many_ways_at_once_are_an_honest_failure) {
  matcher_limits tight;
  tight.ways_max = 8;
  const auto of = matcher_of({kind::regex, "(a{1,30}){1,30}b"}, some_words(), tight);
  constrained_text text(of);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(text.add('a'));
  const auto mask = text.mask();
  ASSERT_FALSE(mask.has_value());
  EXPECT_EQ(mask.error().code(), status_code::exhausted);
}

TEST(matcher, looking_at_every_token_again_and_again_is_too_many_ways_too) {
  std::vector<std::string> spelled;
  for (char a = 'a'; a <= 'z'; ++a) spelled.push_back({a});
  for (char a = 'a'; a <= 'z'; ++a)
    for (char b = 'a'; b <= 'z'; ++b)
      for (char c = 'a'; c <= 'z'; ++c) spelled.push_back({a, b, c});
  const auto words = std::make_shared<const vocabulary>(std::move(spelled));
  matcher_limits tight;
  tight.walk_cost_max = 3'000; // each way looks at 18,278 nodes, at 571 in all
  const auto mask_of = [&](const char* pattern) {
    const auto of = matcher_of({kind::regex, pattern}, words, tight);
    return constrained_text(of).mask().has_value();
  };
  EXPECT_TRUE(mask_of("[a-z]*"));
  EXPECT_TRUE(mask_of("[a-z]*(aaa|bbb)"));
  EXPECT_FALSE(
      mask_of("[a-z]*a|([a-z][a-z])*b|([a-z]{3})*c|([a-z]{5})*d|([a-z]{7})*e|([a-z]{11})*f"));
}

TEST(matcher, choices_are_those_texts_and_no_others) {
  const constraint choice{kind::choice, R"(["yes","no","maybe \"so\"","y"])"};
  for (const char* text : {"yes", "no", "maybe \"so\"", "y"}) EXPECT_TRUE(accepts(choice, text));
  for (const char* text : {"", "ye", "yesno", "Maybe"}) EXPECT_FALSE(accepts(choice, text));
  EXPECT_NE(refusal({kind::choice, "[]"}).find("at least one"), std::string::npos);
  EXPECT_NE(refusal({kind::choice, "[1]"}).find("strings"), std::string::npos);
  EXPECT_NE(refusal({kind::choice, "[\"a\""}).find("not valid JSON"), std::string::npos);
}

TEST(matcher, a_shelf_shares_matchers_of_equal_constraints) {
  matcher_shelf shelf(2);
  size_t made = 0;
  const auto words = [&made] {
    ++made;
    return std::vector<std::string>{"a", "b"};
  };
  auto first = shelf.begin({kind::regex, "a+"}, words);
  ASSERT_TRUE(first.has_value());
  EXPECT_TRUE(first->add(0));
  for (const char* other : {"b", "ab", "ba", "a+"}) {
    auto text = shelf.begin({kind::regex, other}, words);
    ASSERT_TRUE(text.has_value());
    EXPECT_FALSE(text->is_complete());
  }
  EXPECT_TRUE(first->is_complete()); // although its matcher was put away meanwhile
  EXPECT_EQ(made, 1u);
  EXPECT_FALSE(shelf.begin({kind::regex, "c"}, words).has_value());
  EXPECT_FALSE(shelf.begin({kind::regex, "("}, words).has_value());
}

TEST(code_points, sets_behave_like_sets) {
  const code_points vowels{{'a', 'a'}, {'e', 'e'}, {'i', 'i'}};
  const code_points others = code_points{{'a', 'z'}}.without(vowels);
  EXPECT_TRUE(others.has('b') && others.has('z') && !others.has('a') && !others.has('i'));
  EXPECT_FALSE(code_points::all().has(0xD800));
  EXPECT_TRUE(code_points::all().complement().empty());
  EXPECT_FALSE(vowels.complement().has('e'));
  EXPECT_TRUE(vowels.complement().has(code_point_max));
}

// Every character there is, and nothing that is none.
TEST(code_points, utf8_is_written_and_read_alike) {
  const auto of = matcher_of({kind::regex, "[^a]"});
  for (const uint32_t point :
       {0x00u, 0x62u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xE000u, 0xFFFFu, 0x10000u, 0x3FFFFu,
        0x40000u, 0xFFFFFu, 0x100000u, 0x10FFFFu}) {
    std::string text;
    append_utf8(text, point);
    EXPECT_TRUE(accepts(of, text)) << point;
    EXPECT_EQ(first_point(text).point, point);
    EXPECT_EQ(first_point(text).bytes, text.size());
  }
  for (const char* text :
       {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xE0\x80\x80", "a"}) {
    EXPECT_FALSE(accepts(of, text));
    EXPECT_EQ(first_point(text).bytes, text[0] == 'a' ? 1u : 0u);
  }
}

} // namespace
} // namespace troupe::model
