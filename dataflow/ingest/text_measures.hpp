// What can be counted in a document in one look: the figures on which rules of quality, the order
// of a curriculum and the guess of a language rest. Integers throughout, so that every machine
// decides alike.
#pragma once

#include "dataflow/ingest/utf8.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace troupe::dataflow {

// Languages whose commonest words are known here.
enum class language : uint8_t { english, german, french, spanish, italian, dutch, portuguese };
inline constexpr size_t language_count = 7;
std::string_view code_of(language of); // "en"

struct text_measures {
  uint64_t bytes = 0;
  uint64_t broken_bytes = 0; // that are no UTF-8
  uint64_t characters = 0;
  uint64_t controls = 0; // but tab, line feed, carriage return, form feed; also U+FFFD
  std::array<uint64_t, script_count> letters = {};

  // Between white space, as the rules of quality count them.
  uint64_t words = 0;
  uint64_t word_characters = 0; // of those, without signs at either end
  uint64_t words_with_letter = 0;
  uint64_t long_words = 0; // of more than six characters
  uint64_t sentences = 0;  // ends of them, at least one in a text with words
  uint64_t hashes = 0;     // '#'
  uint64_t ellipses = 0;   // "..." or U+2026

  uint64_t lines = 0; // that are not empty
  uint64_t bullet_lines = 0;
  uint64_t ellipsis_lines = 0; // that end in an ellipsis

  // Uses of the commonest words of each language, and how many different ones there were.
  std::array<uint64_t, language_count> common_words = {};
  std::array<uint64_t, language_count> common_words_distinct = {};

  uint64_t all_letters() const;
  // The one with the most letters; none without letters.
  script main_script() const;
  // The readability index of Björnsson (LIX): words per sentence plus the share of long words in
  // percent, in hundredths. Higher is harder: a tale has about 3000, a law 6000.
  uint64_t difficulty() const;
};

text_measures measure(std::string_view text);

// The code of the language, where the words of one are clearly the commonest; else the name of the
// script if that is not Latin; else "unknown". Reliable for running text of fifty words and more;
// short texts, tables and code are "unknown", and so is what is written in a Latin language that is
// not in the list, unless it shares the commonest words of one that is.
std::string_view language_of(const text_measures& measures);

} // namespace troupe::dataflow
