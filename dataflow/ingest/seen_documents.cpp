// A ring of documents with chains through it.
#include "dataflow/ingest/seen_documents.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <algorithm>

namespace troupe::dataflow {

seen_documents::seen_documents(uint32_t capacity) : ring_(capacity) {
  TROUPE_CHECK(capacity > 0);
  for (auto& group : first_) group.resize(buckets);
  for (auto& group : older_) group.resize(capacity);
}

uint32_t seen_documents::bucket_of(const seen_document& of, size_t group) {
  const uint64_t bits = group < 4 ? of.similar >> (16 * group) : of.exact;
  return static_cast<uint32_t>(bits & (buckets - 1));
}

std::optional<duplicate> seen_documents::find(const text_fingerprint& of, bool near,
                                              uint32_t bits_max) const {
  const seen_document wanted{of.exact, of.similar, 0};
  const auto look = [&](size_t group, auto&& is_it) -> const seen_document* {
    uint64_t number = first_[group][bucket_of(wanted, group)];
    for (uint32_t looks = 0; remembers(number) && looks < looks_max; ++looks) {
      const size_t place = (number - 1) % ring_.size();
      if (is_it(ring_[place])) return &ring_[place];
      number = older_[group][place];
    }
    return nullptr;
  };
  const auto same = [&](const seen_document& other) { return other.exact == wanted.exact; };
  if (const auto* found = look(4, same)) return duplicate{found->offset, 0, true};
  if (!near) return std::nullopt;
  const auto alike = [&](const seen_document& other) {
    return bits_apart(other.similar, wanted.similar) <= bits_max;
  };
  const seen_document* youngest = nullptr;
  for (size_t group = 0; group < 4; ++group) {
    const auto* found = look(group, alike);
    if (found != nullptr && (youngest == nullptr || found->offset > youngest->offset))
      youngest = found;
  }
  if (youngest == nullptr) return std::nullopt;
  return duplicate{youngest->offset, bits_apart(youngest->similar, wanted.similar), false};
}

void seen_documents::add(const text_fingerprint& of, uint64_t offset) {
  const seen_document entry{of.exact, of.similar, offset};
  const size_t place = added_ % ring_.size();
  ring_[place] = entry;
  ++added_;
  for (size_t group = 0; group < groups; ++group) {
    auto& first = first_[group][bucket_of(entry, group)];
    older_[group][place] = first;
    first = added_;
  }
}

std::vector<seen_document> seen_documents::documents() const {
  std::vector<seen_document> out;
  for (uint64_t number = forgotten(); number < added_; ++number)
    out.push_back(ring_[number % ring_.size()]);
  return out;
}

status seen_documents::restore(std::span<const seen_document> documents, uint64_t added) {
  if (documents.size() != std::min<uint64_t>(added, ring_.size()))
    return status(status_code::corrupt, text("seen documents: ", documents.size(), " of ", added,
                                             " where room is for ", ring_.size()));
  for (auto& group : first_) std::fill(group.begin(), group.end(), 0);
  for (auto& group : older_) std::fill(group.begin(), group.end(), 0);
  added_ = added - documents.size();
  for (const auto& document : documents)
    add({document.exact, document.similar, 0}, document.offset);
  return {};
}

} // namespace troupe::dataflow
