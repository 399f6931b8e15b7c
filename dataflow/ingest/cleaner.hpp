// Whether a document of the log is learnt from, and if not, why not. The verdicts depend on the
// settings and on the documents before it alone: a log that is read again gets the same ones.
#pragma once

#include "dataflow/ingest/blocklist.hpp"
#include "dataflow/ingest/quality_rules.hpp"
#include "dataflow/ingest/seen_documents.hpp"
#include "schemas/ingest_records.hpp"
#include "schemas/learning_stream_state.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace troupe::dataflow {

struct cleaning_settings {
  uint64_t characters_min = 1;
  uint64_t bytes_max = uint64_t{1} << 20;
  uint64_t controls_max = 10; // in thousandths of the characters
  // Codes of languages and names of scripts (language_of) that are learnt from; empty: all.
  std::set<std::string, std::less<>> languages = {};
  bool quality = false;
  quality_rules rules = {};
  std::set<std::string, std::less<>> domains_without_quality = {};
  std::set<std::string, std::less<>> domains_with_duplicates = {};
  uint32_t seen_max = 1 << 16;  // documents among which duplicates are looked for; 0: not at all
  uint32_t near_bits_max = 3;   // fingerprints so far apart are of like texts; at most 3
  uint64_t near_words_min = 24; // shorter texts have to be the same in all words

  // What decides about documents, in one line; the state of a stream holds it.
  std::string summary() const;
};

enum class rejection_reason : uint8_t {
  malformed,
  not_utf8,
  too_short,
  too_long,
  control_characters,
  language,
  blocked,
  quality,
  duplicate,
  near_duplicate,
  not_tokenised,
};
std::string_view name_of(rejection_reason reason);

struct rejection {
  rejection_reason reason = rejection_reason::malformed;
  std::string detail; // for a person; with the rule, for those of quality
  std::string counted_as() const;
  std::optional<quality_fault> fault = std::nullopt;
};

class cleaner {
public:
  cleaner(cleaning_settings settings, blocklist blocked);

  struct verdict {
    std::optional<rejection> rejected; // none: it is learnt from
    std::string domain;                // its own, or its language where it has none
  };
  // Documents in the order of their offsets. An accepted one is remembered.
  verdict look_at(const schemas::ingest_document& document, uint64_t offset);

  std::string summary() const;
  // What is remembered, into and out of the state's `seen` and `seen_added`.
  void save(schemas::learning_stream_state& to) const;
  status restore(const schemas::learning_stream_state& from);

private:
  std::optional<rejection> find_flaw(const schemas::ingest_document& document,
                                     const text_measures& measures, std::string_view domain) const;
  std::optional<rejection> find_duplicate(std::string_view text, uint64_t offset);

  const cleaning_settings settings_;
  const blocklist blocked_;
  std::optional<seen_documents> seen_;
};

} // namespace troupe::dataflow
