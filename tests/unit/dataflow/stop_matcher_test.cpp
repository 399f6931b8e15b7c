// Stop texts across pieces: what is emitted, held back and cut off.
#include "base/random.hpp"
#include "dataflow/stop_matcher.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::dataflow {
namespace {

struct outcome {
  std::string emitted;
  std::string stopped_by;
  bool operator==(const outcome&) const = default;
};
std::ostream& operator<<(std::ostream& out, const outcome& o) {
  return out << '\'' << o.emitted << "' stopped by '" << o.stopped_by << '\'';
}

outcome run(stop_matcher matcher, const std::vector<std::string>& pieces) {
  outcome out;
  for (const std::string& piece : pieces) {
    const auto fed = matcher.feed(piece);
    out.emitted += fed.emit;
    if (fed.stopped) out.stopped_by = fed.stopped_by;
  }
  out.emitted += matcher.flush();
  return out;
}

TEST(stop_matcher_test, passes_everything_through_without_stop_texts) {
  stop_matcher matcher({}, false);
  EXPECT_EQ(matcher.feed("abc").emit, "abc");
  EXPECT_EQ(matcher.feed("").emit, "");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(stop_matcher_test, cuts_before_the_stop_text_or_behind_it_when_asked) {
  EXPECT_EQ(run({{"END"}, false}, {"story END more"}), (outcome{"story ", "END"}));
  EXPECT_EQ(run({{"END"}, true}, {"story END more"}), (outcome{"story END", "END"}));
}

TEST(stop_matcher_test, finds_a_stop_text_that_spans_pieces) {
  EXPECT_EQ(run({{"\n\nHuman:"}, false}, {"hi\n", "\nHu", "man", ": x"}),
            (outcome{"hi", "\n\nHuman:"}));
  EXPECT_EQ(run({{"aab"}, false}, {"a", "a", "a", "b", "c"}), (outcome{"a", "aab"}));
}

TEST(stop_matcher_test, holds_back_only_what_could_begin_a_stop_text) {
  stop_matcher matcher({"STOP", "OPAL"}, false);
  EXPECT_EQ(matcher.feed("abc ST").emit, "abc ");
  EXPECT_EQ(matcher.held_bytes(), 2u);
  EXPECT_EQ(matcher.feed("O").emit, "");
  EXPECT_EQ(matcher.feed("x").emit, "STOx");
  EXPECT_EQ(matcher.feed("STOPA").stopped, true);
}

TEST(stop_matcher_test, emits_the_start_of_a_held_text_once_only_a_later_part_can_match) {
  stop_matcher matcher({"ababc"}, false);
  EXPECT_EQ(matcher.feed("abab").emit, "");
  EXPECT_EQ(matcher.feed("a").emit, "ab");
  EXPECT_EQ(matcher.feed("bc").emit, "");
  EXPECT_TRUE(matcher.stopped());
}

TEST(stop_matcher_test, flush_gives_what_was_held_back) {
  stop_matcher matcher({"STOP"}, false);
  EXPECT_EQ(matcher.feed("a STO").emit, "a ");
  EXPECT_EQ(matcher.flush(), "STO");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(stop_matcher_test, the_earliest_match_wins_and_the_longest_of_those_that_start_together) {
  EXPECT_EQ(run({{"c", "bcd"}, false}, {"abcd"}), (outcome{"a", "bcd"}));
  EXPECT_EQ(run({{"ab", "abc"}, true}, {"xabcd"}), (outcome{"xabc", "abc"}));
  EXPECT_EQ(run({{"abc", "ab"}, true}, {"xabcd"}), (outcome{"xabc", "abc"}));
  EXPECT_EQ(run({{"c", "abcd"}, false}, {"abc", "d"}), (outcome{"ab", "c"})); // complete first
}

TEST(stop_matcher_test, swallows_everything_after_a_match) {
  stop_matcher matcher({"."}, false);
  EXPECT_EQ(matcher.feed("a.b").emit, "a");
  EXPECT_EQ(matcher.feed("c").emit, "");
  EXPECT_EQ(matcher.pass("d"), "");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(stop_matcher_test, ignores_empty_stop_texts) {
  EXPECT_EQ(run({{"", "b"}, false}, {"ab"}), (outcome{"a", "b"}));
  EXPECT_EQ(run({{""}, false}, {"ab"}), (outcome{"ab", ""}));
}

TEST(stop_matcher_test, text_that_passes_is_not_searched_and_begins_no_match) {
  stop_matcher matcher({"END"}, false);
  EXPECT_EQ(matcher.feed("xE").emit, "x");
  EXPECT_EQ(matcher.pass("ND END E"), "END END E");
  EXPECT_EQ(matcher.feed("ND").emit, "ND");
  EXPECT_FALSE(matcher.stopped());
}

TEST(stop_matcher_test, never_splits_a_character) {
  // 'ä' and 'ã' share their first byte, but pieces and stop texts are whole characters.
  stop_matcher matcher({"\u00e4\u00e4", "\U0001F600x"}, false);
  EXPECT_EQ(matcher.feed("\u00e3").emit, "\u00e3");
  EXPECT_EQ(matcher.feed("\u00e4").emit, "");
  EXPECT_EQ(matcher.feed("\u00e3").emit, "\u00e4\u00e3");
  EXPECT_EQ(matcher.feed("\U0001F600").emit, "");
  EXPECT_EQ(matcher.feed("\U0001F601").emit, "\U0001F600\U0001F601");
}

// The rule in words, over the whole text: after each piece look for the match that starts first.
outcome naive(const std::vector<std::string>& stops, bool include,
              const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) {
    text += piece;
    for (size_t at = 0; at < text.size(); ++at) {
      std::string best;
      for (const std::string& stop : stops)
        if (text.compare(at, stop.size(), stop) == 0 && stop.size() > best.size()) best = stop;
      if (!best.empty()) return {text.substr(0, at + (include ? best.size() : 0)), best};
    }
  }
  return {text, ""};
}

TEST(stop_matcher_test, agrees_with_a_search_of_the_whole_text_for_random_pieces) {
  uint64_t n = 0;
  const auto below = [&n](uint64_t bound) {
    return random_below({11, random_subsystem::workload, 0}, n++, bound);
  };
  const auto word = [&below](uint64_t least, uint64_t most) {
    std::string out;
    for (uint64_t length = least + below(most - least + 1); length > 0; --length)
      out += static_cast<char>('a' + below(3));
    return out;
  };
  int stopped = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops(1 + below(3));
    for (auto& stop : stops) stop = word(1, 6);
    std::vector<std::string> pieces(below(10));
    for (auto& piece : pieces) piece = word(0, 4);
    const bool include = below(2) == 0;
    const outcome expected = naive(stops, include, pieces);
    ASSERT_EQ(run({stops, include}, pieces), expected) << "round " << round;
    stopped += !expected.stopped_by.empty();
    stop_matcher matcher(stops, include);
    for (const auto& piece : pieces) {
      (void)matcher.feed(piece);
      const auto longest = std::max_element(stops.begin(), stops.end(),
                                            [](auto& a, auto& b) { return a.size() < b.size(); });
      ASSERT_LT(matcher.held_bytes(), longest->size());
    }
  }
  EXPECT_GT(stopped, 5000);
  EXPECT_LT(stopped, 19000);
}

} // namespace
} // namespace troupe::dataflow
