// One pass over lines, words and characters.
#include "dataflow/ingest/text_measures.hpp"

#include <algorithm>
#include <bitset>
#include <functional>
#include <map>
#include <numeric>
#include <utility>

namespace troupe::dataflow {
namespace {

constexpr size_t common_words_each = 24;
constexpr uint64_t long_word_characters = 6;

using word_list = std::array<std::string_view, common_words_each>;

// Words with which sentences are built; some belong to several languages.
constexpr std::array<word_list, language_count> lists = {{
    {"the", "be",  "to",  "of",   "and", "that", "have", "with", "is",    "was", "in", "it",
     "for", "not", "you", "this", "but", "his",  "from", "they", "which", "or",  "an", "were"},
    {"der",  "die", "das", "und", "ist", "nicht", "ein", "eine", "zu",  "den",  "von", "mit",
     "sich", "des", "auf", "dem", "es",  "ich",   "er",  "sie",  "war", "wird", "im",  "auch"},
    {"le",   "la",  "les", "de",   "des", "et",   "est", "un", "une", "que",  "qui",  "dans",
     "pour", "pas", "sur", "avec", "il",  "elle", "ce",  "du", "au",  "plus", "nous", "vous"},
    {"el",  "la",  "los", "las",  "de", "del", "que", "y",    "en",  "un",   "una", "es",
     "por", "con", "no",  "para", "su", "se",  "lo",  "como", "más", "pero", "al",  "sus"},
    {"il",  "lo",  "la",  "gli", "le", "di", "del", "della", "che",  "e",  "un",    "una",
     "per", "con", "non", "si",  "è",  "da", "in",  "nel",   "sono", "al", "anche", "come"},
    {"de",   "het", "een", "en",   "van", "is",  "dat", "niet", "te",   "op",  "met", "voor",
     "zijn", "er",  "aan", "maar", "om",  "ook", "als", "bij",  "naar", "uit", "was", "wordt"},
    {"o",   "a",   "os",  "as",   "de", "do", "da", "que",  "e",   "em",   "um",  "uma",
     "não", "com", "por", "para", "se", "na", "no", "mais", "dos", "como", "mas", "ao"},
}};

struct common_word {
  uint8_t in;    // a language
  uint8_t index; // in its list
};

const std::multimap<std::string_view, common_word>& common_words() {
  static const auto made = [] {
    std::multimap<std::string_view, common_word> out;
    for (uint8_t in = 0; in < language_count; ++in)
      for (uint8_t i = 0; i < common_words_each; ++i) out.insert({lists[in][i], {in, i}});
    return out;
  }();
  return made;
}

bool is_space(char32_t point) {
  return point == ' ' || (point >= '\t' && point <= '\r') || point == 0x85 || point == 0xA0 ||
         (point >= 0x2000 && point <= 0x200A) || point == 0x2028 || point == 0x2029 ||
         point == 0x202F || point == 0x3000;
}

bool is_control(char32_t point) {
  if (point == '\t' || point == '\n' || point == '\r' || point == '\f') return false;
  return point < 0x20 || (point >= 0x7F && point < 0xA0 && point != 0x85) || point == 0xFFFD ||
         (point >= 0xFFF0 && point <= 0xFFFB) || (point & 0xFFFE) == 0xFFFE;
}

bool ends_sentence(char32_t point) {
  return point == '.' || point == '!' || point == '?' || point == ':' || point == 0x3002 ||
         point == 0xFF01 || point == 0xFF1F;
}

// The line without white space of ASCII at either end.
std::string_view trimmed(std::string_view line) {
  static constexpr std::string_view space = " \t\r\f\v";
  const size_t first = line.find_first_not_of(space);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(space) - first + 1);
}

class measurer {
public:
  text_measures look_at(std::string_view text) {
    out_.bytes = text.size();
    characters_of(text);
    lines_of(text);
    common_words_of(text);
    for (size_t i = 0; i < language_count; ++i) out_.common_words_distinct[i] = seen_[i].count();
    if (out_.words > 0) out_.sentences = std::max<uint64_t>(out_.sentences, 1);
    return out_;
  }

private:
  void characters_of(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
      const auto read = character_at(text, at);
      at += read.bytes;
      if (read.point == no_character) {
        ++out_.broken_bytes;
        end_word();
        continue;
      }
      ++out_.characters;
      note(read.point);
    }
    end_word();
  }

  void note(char32_t point) {
    if (is_control(point)) ++out_.controls;
    const script of = script_of(point);
    if (of != script::none) ++out_.letters[static_cast<size_t>(of)];
    if (point == '#') ++out_.hashes;
    dots_ = point == '.' ? dots_ + 1 : 0;
    if (point == 0x2026 || dots_ == 3) ++out_.ellipses;
    if (is_space(point)) return end_word();
    in_word_ = true;
    if (ends_sentence(point)) sentence_ends_ = true;
    if (of == script::none && !(point >= '0' && point <= '9')) {
      if (core_ > 0) ++signs_; // within the word, unless nothing follows
      return;
    }
    if (of != script::none) letter_ = true;
    core_ += std::exchange(signs_, 0) + 1;
    sentence_ends_ = false;
  }

  void end_word() {
    if (in_word_) {
      ++out_.words;
      out_.word_characters += core_;
      out_.words_with_letter += letter_ ? 1 : 0;
      out_.long_words += core_ > long_word_characters ? 1 : 0;
      out_.sentences += sentence_ends_ ? 1 : 0;
    }
    in_word_ = letter_ = sentence_ends_ = false;
    core_ = signs_ = 0;
  }

  void lines_of(std::string_view text) {
    while (!text.empty()) {
      const size_t end = text.find('\n');
      const auto line = trimmed(text.substr(0, end));
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
      if (line.empty()) continue;
      ++out_.lines;
      const bool bullet = line.starts_with("- ") || line.starts_with("* ") ||
                          line.starts_with("\u2022") || line.starts_with("\u2023");
      out_.bullet_lines += bullet ? 1 : 0;
      out_.ellipsis_lines += line.ends_with("...") || line.ends_with("\u2026") ? 1 : 0;
    }
  }

  void common_words_of(std::string_view text) {
    for (word_scanner words(text); words.next();) {
      const auto [first, last] = common_words().equal_range(words.word());
      for (auto found = first; found != last; ++found) {
        ++out_.common_words[found->second.in];
        seen_[found->second.in].set(found->second.index);
      }
    }
  }

  text_measures out_;
  std::array<std::bitset<common_words_each>, language_count> seen_;
  uint64_t core_ = 0;  // characters of the word up to its last letter or digit
  uint64_t signs_ = 0; // after that
  uint64_t dots_ = 0;
  bool in_word_ = false;
  bool letter_ = false;
  bool sentence_ends_ = false;
};

} // namespace

std::string_view code_of(language of) {
  static constexpr std::array<std::string_view, language_count> codes = {"en", "de", "fr", "es",
                                                                         "it", "nl", "pt"};
  return codes[static_cast<size_t>(of)];
}

uint64_t text_measures::all_letters() const {
  return std::accumulate(letters.begin(), letters.end(), uint64_t{0});
}

script text_measures::main_script() const {
  const auto most = std::max_element(letters.begin(), letters.end());
  return *most == 0 ? script::none : static_cast<script>(most - letters.begin());
}

uint64_t text_measures::difficulty() const {
  if (words == 0) return 0;
  return words * 100 / sentences + long_words * 10000 / words;
}

text_measures measure(std::string_view text) {
  return measurer().look_at(text);
}

std::string_view language_of(const text_measures& measures) {
  constexpr uint64_t distinct_min = 3;
  constexpr uint64_t share_min = 8; // one word in as many
  const script mostly = measures.main_script();
  if (mostly != script::latin && mostly != script::none) return name_of(mostly);
  auto sorted = measures.common_words;
  const auto best = std::max_element(sorted.begin(), sorted.end());
  const auto index = static_cast<size_t>(best - sorted.begin());
  const uint64_t most = *best;
  std::nth_element(sorted.begin(), sorted.begin() + 1, sorted.end(), std::greater<>());
  const bool clear = most * 4 >= sorted[1] * 5; // a quarter more than the second
  const bool enough = measures.common_words_distinct[index] >= distinct_min &&
                      most * share_min >= measures.words && most > 0;
  return clear && enough ? code_of(static_cast<language>(index)) : "unknown";
}

} // namespace troupe::dataflow
