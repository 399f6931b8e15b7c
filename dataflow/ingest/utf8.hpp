// Characters of a text: their numbers, what writing they belong to, and words made of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::dataflow {

inline constexpr char32_t no_character = 0xFFFFFFFF; // bytes that are no UTF-8

struct decoded_character {
  char32_t point = no_character;
  uint8_t bytes = 1; // to the next one
};

// The character that begins at `at`, which is within the text. Overlong forms, surrogates and
// numbers beyond Unicode are no characters.
decoded_character character_at(std::string_view utf8, size_t at);

// Whether all of it is.
bool is_utf8(std::string_view text);

enum class script : uint8_t {
  latin,
  greek,
  cyrillic,
  hebrew,
  arabic,
  indic,
  han,
  kana,
  hangul,
  other, // letters of anything else
  none,  // digits, signs, spaces
};
inline constexpr size_t script_count = 10; // with letters
std::string_view name_of(script of);

// By blocks of Unicode: a few signs within a block of letters count as letters.
script script_of(char32_t point);

// Letters, and the digits of ASCII.
bool is_word_character(char32_t point);

// The small letter of a capital in Latin, Greek and Cyrillic; anything else as it is. Without the
// exceptions of languages.
char32_t in_small(char32_t point);
void append_utf8(std::string& to, char32_t point);

// Runs of word characters in small letters, in order. Han and kana, which are written without
// spaces, make words of one character.
class word_scanner {
public:
  explicit word_scanner(std::string_view text) : text_(text) {}
  // False: there is none any more. Bytes that are no UTF-8 end a word.
  bool next();
  const std::string& word() const { return word_; } // of the last next()
  uint32_t characters() const { return characters_; }
  size_t end() const { return at_; } // behind the word, in bytes

private:
  std::string_view text_;
  size_t at_ = 0;
  std::string word_;
  uint32_t characters_ = 0;
};

} // namespace troupe::dataflow
