// UTF-8 and the few Unicode facts that tokenizing needs.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace troupe::model {

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

// Reads the code point at `at` and moves `at` behind it. The text must be valid UTF-8 and not at
// its end.
char32_t next_code_point(std::string_view text, size_t& at);

void append_utf8(std::string& out, char32_t code_point);

bool is_valid_utf8(std::string_view bytes);

// Puts bytes that arrive in any cuts together to valid UTF-8. Whatever is not UTF-8 becomes U+FFFD,
// one for each longest prefix of a sequence that could have been valid, as Python and Rust do it.
class utf8_assembler {
public:
  // Appends to `out` what is known for sure; holds back at most three bytes.
  void push(std::string_view bytes, std::string& out);
  // Says that no more bytes follow.
  void finish(std::string& out);

private:
  std::string pending_;
};

// The whole text at once.
std::string to_valid_utf8(std::string_view bytes);

// GPT-2's printable letter for each byte, and back (-1 when the letter stands for no byte).
char32_t byte_to_letter(uint8_t byte);
int letter_to_byte(char32_t letter);

// The bytes that a text of such letters stands for; false, and `out` as it was, when a letter is
// none.
bool append_letter_bytes(std::string& out, std::string_view letters);

// White_Space, as Rust's char::is_whitespace.
bool is_white_space(char32_t code_point);
// Nd, Nl or No.
bool is_numeric(char32_t code_point);
// ASCII punctuation or any P category.
bool is_punctuation(char32_t code_point);
// What the Rust regex crate calls \w.
bool is_word_character(char32_t code_point);

// Characters of Unicode 15 to 16 by two-letter category. The reference tokenizers know them; the
// PCRE2 and ICU of an older distribution do not.
struct category_range {
  char32_t first;
  char32_t last;
  char category[3];
};
std::span<const category_range> categories_since_unicode_14();

} // namespace troupe::model
