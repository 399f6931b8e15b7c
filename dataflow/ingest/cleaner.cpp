// Cheap questions first; only what passes them all is remembered.
#include "dataflow/ingest/cleaner.hpp"

#include "base/text.hpp"

#include <array>

namespace troupe::dataflow {
namespace {

constexpr size_t detail_bytes_max = 200;

rejection because(rejection_reason reason, std::string detail) {
  return {reason, std::move(detail), std::nullopt};
}

std::string joined(const std::set<std::string, std::less<>>& names) {
  std::string out;
  for (const auto& name : names) out += text(out.empty() ? "" : "+", name);
  return out;
}

} // namespace

std::string_view name_of(rejection_reason reason) {
  static constexpr std::array<std::string_view, 11> names = {
      "malformed", "not_utf8", "too_short", "too_long",       "control_characters", "language",
      "blocked",   "quality",  "duplicate", "near_duplicate", "not_tokenised"};
  return names[static_cast<size_t>(reason)];
}

std::string rejection::counted_as() const {
  if (fault) return text("quality_", name_of(*fault));
  return std::string(name_of(reason));
}

std::string cleaning_settings::summary() const {
  std::string out =
      text("characters ", characters_min, "-, bytes -", bytes_max, ", controls ", controls_max,
           ", languages ", joined(languages), ", seen ", seen_max, "/", near_bits_max, "/",
           near_words_min, ", duplicates in ", joined(domains_with_duplicates));
  if (!quality) return out;
  return out + text(", quality not in ", joined(domains_without_quality), ": ", rules.words_min,
                    "/", rules.words_max, "/", rules.mean_word_min, "/", rules.mean_word_max, "/",
                    rules.signs_per_word_max, "/", rules.bullet_lines_max, "/",
                    rules.ellipsis_lines_max, "/", rules.words_with_letter_min, "/",
                    rules.common_words_min);
}

cleaner::cleaner(cleaning_settings settings, blocklist blocked)
    : settings_(std::move(settings)), blocked_(std::move(blocked)) {
  if (settings_.seen_max > 0) seen_.emplace(settings_.seen_max);
}

cleaner::verdict cleaner::look_at(const schemas::ingest_document& document, uint64_t offset) {
  if (!document.fault.empty())
    return {because(rejection_reason::malformed, document.fault), document.domain};
  const auto measures = measure(document.text);
  verdict out{std::nullopt,
              document.domain.empty() ? std::string(language_of(measures)) : document.domain};
  out.rejected = find_flaw(document, measures, out.domain);
  if (!out.rejected && seen_ && !settings_.domains_with_duplicates.contains(out.domain))
    out.rejected = find_duplicate(document.text, offset);
  return out;
}

std::optional<rejection> cleaner::find_flaw(const schemas::ingest_document& document,
                                            const text_measures& measures,
                                            std::string_view domain) const {
  if (measures.broken_bytes > 0)
    return because(rejection_reason::not_utf8, text(measures.broken_bytes, " bytes are no UTF-8"));
  if (measures.characters < settings_.characters_min)
    return because(rejection_reason::too_short,
                   text(measures.characters, " characters, fewer than ", settings_.characters_min));
  if (measures.bytes > settings_.bytes_max)
    return because(rejection_reason::too_long,
                   text(measures.bytes, " bytes, more than ", settings_.bytes_max));
  if (measures.controls * 1000 > measures.characters * settings_.controls_max)
    return because(rejection_reason::control_characters,
                   text(measures.controls, " control characters among ", measures.characters));
  const auto spoken = language_of(measures);
  if (!settings_.languages.empty() && !settings_.languages.contains(spoken))
    return because(rejection_reason::language, text("seems to be '", spoken, "'"));
  if (const auto phrase = blocked_.find(document.text))
    return because(
        rejection_reason::blocked,
        text("contains '", blocked_.phrases()[*phrase].substr(0, detail_bytes_max), "'"));
  if (!settings_.quality || settings_.domains_without_quality.contains(domain)) return std::nullopt;
  const auto fault = find_fault(measures, settings_.rules);
  if (!fault) return std::nullopt;
  auto out = because(rejection_reason::quality, text("breaks the rule ", name_of(*fault)));
  out.fault = fault;
  return out;
}

std::optional<rejection> cleaner::find_duplicate(std::string_view text_of, uint64_t offset) {
  const auto print = fingerprint_of(text_of);
  const bool near = print.words >= settings_.near_words_min;
  if (const auto found = seen_->find(print, near, settings_.near_bits_max)) {
    if (found->exact)
      return because(rejection_reason::duplicate, text("of the document at ", found->offset));
    return because(rejection_reason::near_duplicate,
                   text("of the document at ", found->offset, ", ", found->bits, " bits apart"));
  }
  seen_->add(print, offset);
  return std::nullopt;
}

std::string cleaner::summary() const {
  return text(settings_.summary(), ", ", blocked_.phrases().size(),
              " phrases blocked: ", blocked_.checksum());
}

void cleaner::save(schemas::learning_stream_state& to) const {
  to.seen.clear();
  to.seen_added = seen_ ? seen_->added() : 0;
  if (!seen_) return;
  for (const auto& each : seen_->documents())
    to.seen.push_back({each.exact, each.similar, each.offset});
}

status cleaner::restore(const schemas::learning_stream_state& from) {
  if (!seen_) return {};
  std::vector<seen_document> documents;
  for (const auto& each : from.seen) documents.push_back({each.exact, each.similar, each.offset});
  return seen_->restore(documents, from.seen_added);
}

} // namespace troupe::dataflow
