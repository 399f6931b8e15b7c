// Shares are compared by multiplying, so that nothing is rounded.
#include "dataflow/ingest/quality_rules.hpp"

#include <algorithm>
#include <array>

namespace troupe::dataflow {
namespace {

bool more_than(uint64_t part, uint64_t whole, uint64_t thousandths) {
  return part * 1000 > whole * thousandths;
}

bool less_than(uint64_t part, uint64_t whole, uint64_t thousandths) {
  return part * 1000 < whole * thousandths;
}

// Gopher asks for the words of English. Here any language's will do that is known, and writings
// without spaces or with other common words are not asked.
bool lacks_common_words(const text_measures& measures, const quality_rules& rules) {
  const script mostly = measures.main_script();
  if (mostly != script::latin && mostly != script::none) return false;
  const auto& distinct = measures.common_words_distinct;
  return *std::max_element(distinct.begin(), distinct.end()) < rules.common_words_min;
}

} // namespace

std::string_view name_of(quality_fault fault) {
  static constexpr std::array<std::string_view, quality_fault_count> names = {
      "few_words",       "many_words",     "short_words",
      "long_words",      "hashes",         "ellipses",
      "bullet_lines",    "ellipsis_lines", "words_without_letters",
      "few_common_words"};
  return names[static_cast<size_t>(fault)];
}

std::optional<quality_fault> find_fault(const text_measures& m, const quality_rules& rules) {
  if (m.words < rules.words_min) return quality_fault::few_words;
  if (m.words > rules.words_max) return quality_fault::many_words;
  if (less_than(m.word_characters, m.words, rules.mean_word_min)) return quality_fault::short_words;
  if (more_than(m.word_characters, m.words, rules.mean_word_max)) return quality_fault::long_words;
  if (more_than(m.hashes, m.words, rules.signs_per_word_max)) return quality_fault::hashes;
  if (more_than(m.ellipses, m.words, rules.signs_per_word_max)) return quality_fault::ellipses;
  if (more_than(m.bullet_lines, m.lines, rules.bullet_lines_max))
    return quality_fault::bullet_lines;
  if (more_than(m.ellipsis_lines, m.lines, rules.ellipsis_lines_max))
    return quality_fault::ellipsis_lines;
  if (less_than(m.words_with_letter, m.words, rules.words_with_letter_min))
    return quality_fault::words_without_letters;
  if (lacks_common_words(m, rules)) return quality_fault::few_common_words;
  return std::nullopt;
}

} // namespace troupe::dataflow
