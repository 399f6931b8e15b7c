// Shared words of the grammar tests: small vocabularies, whole texts through a matcher, random
// answers drawn from its masks.
#pragma once

#include "base/random.hpp"
#include "model/grammar/compile.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::model::tests {

using kind = constraint::kind;

// All bytes, and pieces of several that cross the borders grammars have.
inline std::shared_ptr<const vocabulary> some_words() {
  std::vector<std::string> out;
  for (int byte = 0; byte < 256; ++byte) out.push_back(std::string(1, static_cast<char>(byte)));
  for (const char* piece :
       {"{\"",         "\":",          "\": ",     "\",",      "\", \"",   "\"}",
        "}}",          "]}",           "},",       "[[",       "[{\"",     "true",
        "false",       "null",         "name",     "age",      "ab",       "abc",
        "bc",          "cab",          "12",       "123",      "00",       "-1",
        "1.",          ".5",           "e1",       "\\\"",     "\\u00",    "\\ud83d",
        "\xC3\xA9",    "\xE2\x82\xAC", "\xE2\x82", "\x82\xAC", "\xF0\x9F", "\xF0\x9F\x98\x80",
        "a\"",         " \"",          "\n  ",     "  ",       "\"\"",     "hello",
        "hello\", \"", "yes",          "no"})
    out.emplace_back(piece);
  return std::make_shared<const vocabulary>(std::move(out));
}

inline std::shared_ptr<matcher> matcher_of(const constraint& asked,
                                           std::shared_ptr<const vocabulary> words = some_words(),
                                           const matcher_limits& limits = {}) {
  auto grammar = compile(asked, words->single_bytes());
  EXPECT_TRUE(grammar.has_value()) << asked.text << ": " << grammar.error().why();
  if (!grammar) return nullptr;
  return std::make_shared<matcher>(std::move(*grammar), std::move(words), limits);
}

// Byte by byte; every beginning of an accepted text has to be accepted too.
inline bool accepts(const std::shared_ptr<matcher>& of, std::string_view text) {
  constrained_text under_way(of);
  for (const char byte : text)
    if (!under_way.add(static_cast<uint8_t>(byte))) return false;
  return under_way.is_complete();
}
inline bool accepts(const constraint& asked, std::string_view text) {
  const auto of = matcher_of(asked);
  return of != nullptr && accepts(of, text);
}

inline std::string refusal(const constraint& asked) {
  const status why = check(asked);
  return why.ok() ? "accepted" : why.why();
}

inline bool allows(const token_mask& mask, size_t id) {
  return (mask[id / 64] >> (id % 64) & 1) != 0;
}

// Draws tokens from the masks until the text may end, and does; after `tokens_max` it is cut off.
// Checks that there always is a token, and that exactly the allowed ones can be added.
struct random_answer {
  std::string text;
  bool complete = false;
};
inline random_answer draw_answer(const std::shared_ptr<matcher>& of, uint64_t seed,
                                 size_t tokens_max = 200) {
  const random_key key{seed, random_subsystem::sampling, 0};
  uint64_t n = 0;
  random_answer out;
  constrained_text under_way(of);
  for (size_t i = 0; i < tokens_max; ++i) {
    if (under_way.is_over() || (under_way.is_complete() && random_below(key, n++, 4) == 0)) {
      out.complete = true;
      return out;
    }
    const auto mask = under_way.mask();
    if (!mask) {
      ADD_FAILURE() << mask.error().why() << " after " << out.text;
      return out;
    }
    std::vector<int32_t> allowed;
    for (size_t id = 0; id < of->words().size(); ++id)
      if (allows(**mask, id)) allowed.push_back(static_cast<int32_t>(id));
    if (allowed.empty()) {
      ADD_FAILURE() << "nothing may follow " << out.text;
      return out;
    }
    // Near the end those that lead there are preferred, or few texts would ever be complete.
    const int32_t token = allowed[random_below(key, n++, static_cast<uint32_t>(allowed.size()))];
    const auto refused =
        static_cast<int32_t>(random_below(key, n++, static_cast<uint32_t>(of->words().size())));
    if (!allows(**mask, static_cast<size_t>(refused))) {
      EXPECT_FALSE(under_way.add(refused)) << out.text << " + " << of->words().bytes_of(refused);
    }
    EXPECT_TRUE(under_way.add(token)) << out.text << " + " << of->words().bytes_of(token);
    out.text += of->words().bytes_of(token);
  }
  return out;
}

} // namespace troupe::model::tests
