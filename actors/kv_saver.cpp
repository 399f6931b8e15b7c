// Walks each sequence's full pages once.
#include "actors/kv_saver.hpp"

#include "base/check.hpp"

namespace troupe::actors {

void kv_saver::opened(dataflow::sequence_id id, std::string_view salt, uint64_t weight_version,
                      std::span<const int32_t> cached) {
  sequence made;
  made.tokens.assign(cached.begin(), cached.end());
  made.saved = archive_.begin(salt, weight_version);
  const bool is_new = sequences_.emplace(id, std::move(made)).second;
  TROUPE_CHECK(is_new);
}

void kv_saver::computed(dataflow::sequence_id id, std::span<const int32_t> tokens) {
  auto& known = sequences_.at(id).tokens;
  known.insert(known.end(), tokens.begin(), tokens.end());
}

uint64_t kv_saver::closed(dataflow::sequence_id id) {
  const auto entry = sequences_.find(id);
  TROUPE_CHECK(entry != sequences_.end());
  const sequence& s = entry->second;
  const uint64_t left = s.tokens.size() / page_tokens_ - s.saved.pages;
  sequences_.erase(entry);
  return left;
}

void kv_saver::go_on(const dataflow::kv_pages& pages, const kv_archive::saved_handler& done) {
  for (auto& [id, s] : sequences_) {
    while (!s.refused && s.tokens.size() / page_tokens_ > s.saved.pages) {
      const size_t begin = size_t{s.saved.pages} * page_tokens_;
      const auto next = archive_.extend(s.saved, std::span(s.tokens).subspan(begin, page_tokens_));
      if (!archive_.has(next)) {
        const auto tokens = std::span(s.tokens).first(begin + page_tokens_);
        const uint32_t page = pages.pages(id)[s.saved.pages];
        const auto how = archive_.begin_save(next, tokens, page, done);
        if (how == kv_archive::saving::later) return;
        s.refused = how == kv_archive::saving::refused;
        if (s.refused) break;
      }
      s.saved = next;
    }
  }
}

} // namespace troupe::actors
