// The rules of quality of Gopher's data (Rae et al., arXiv 2112.11446, A.1.1), with their
// thresholds as settings. They were made for English prose: code breaks most of them, so a domain
// may do without. Gopher asks for common words of English, which would refuse German; here those of
// any language that is known will do.
#pragma once

#include "dataflow/ingest/text_measures.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::dataflow {

// Shares in thousandths.
struct quality_rules {
  uint64_t words_min = 50;
  uint64_t words_max = 100'000;
  uint64_t mean_word_min = 3'000; // characters
  uint64_t mean_word_max = 10'000;
  uint64_t signs_per_word_max = 100; // of '#', and of ellipses
  uint64_t bullet_lines_max = 900;
  uint64_t ellipsis_lines_max = 300;
  uint64_t words_with_letter_min = 800;
  uint64_t common_words_min = 2; // different ones
};

enum class quality_fault : uint8_t {
  few_words,
  many_words,
  short_words,
  long_words,
  hashes,
  ellipses,
  bullet_lines,
  ellipsis_lines,
  words_without_letters,
  few_common_words,
};
inline constexpr size_t quality_fault_count = 10;
std::string_view name_of(quality_fault fault);

// The first rule that the text breaks. The common words may be those of any language that is known;
// a text in another writing than Latin is not asked for them.
std::optional<quality_fault> find_fault(const text_measures& measures, const quality_rules& rules);

} // namespace troupe::dataflow
