// Holds one segment in memory and looks again when it comes to its end.
#include "storage/ingest_reader.hpp"

#include "base/text.hpp"
#include "storage/ingest_segment.hpp"

#include <algorithm>
#include <iterator>

namespace troupe::storage {

result<std::optional<schemas::ingest_document>> ingest_reader::read(uint64_t offset) {
  if (name_.empty() || offset < documents_first_) {
    const auto there = load_segment_of(offset);
    if (!there) return fail(there.error());
    if (!*there) return std::nullopt;
  }
  while (offset >= documents_first_ + documents_.size()) {
    const auto more = next_frame();
    if (!more) return fail(more.error());
    if (!*more) return std::nullopt;
  }
  return documents_[offset - documents_first_];
}

result<uint64_t> ingest_reader::end() {
  if (name_.empty()) {
    const auto names = folder_.list();
    if (!names) return fail(names.error());
    uint64_t last = 0;
    for (const auto& name : *names) last = std::max(last, ingest_segment_first(name).value_or(0));
    const auto there = load_segment_of(last);
    if (!there) return fail(there.error());
    if (!*there) return 0;
  }
  for (;;) {
    const auto more = next_frame();
    if (!more) return fail(more.error());
    if (!*more) return next_;
  }
}

result<bool> ingest_reader::load_segment_of(uint64_t offset) {
  const auto names = folder_.list();
  if (!names) return fail(names.error());
  std::optional<uint64_t> best, oldest;
  for (const auto& name : *names) {
    const auto first = ingest_segment_first(name);
    if (!first) continue;
    if (!oldest || *first < *oldest) oldest = first;
    if (*first <= offset && (!best || *first > *best)) best = first;
  }
  if (!oldest) return false;
  if (!best)
    return fail(status_code::not_found,
                text("document ", offset, " has gone from the log, which ", "begins at ", *oldest));
  if (auto s = load(*best); !s.ok()) return fail(std::move(s));
  return true;
}

status ingest_reader::load(uint64_t first) {
  const std::string name = ingest_segment_name(first);
  auto bytes = folder_.read(name);
  if (!bytes) return bytes.error();
  TROUPE_RETURN_IF_ERROR(folder_.sync(name));
  TROUPE_RETURN_IF_ERROR(folder_.sync_directory());
  const auto head = read_segment_head(*bytes);
  if (!head) return status(status_code::corrupt, text(name, ": ", head.error().why()));
  if (head->first != first)
    return status(status_code::corrupt, text(name, ": holds documents from ", head->first, " on"));
  name_ = name;
  first_ = first;
  bytes_ = std::move(*bytes);
  at_ = head->bytes;
  next_ = documents_first_ = first;
  documents_.clear();
  return {};
}

result<bool> ingest_reader::next_frame() {
  for (const bool again : {false, true}) {
    auto frame = read_frame(std::span(bytes_).subspan(at_), next_, limits_);
    if (!frame) return fail(frame.error().within(name_));
    if (*frame) {
      at_ += (*frame)->bytes;
      documents_first_ = next_;
      next_ += (*frame)->documents();
      documents_.clear();
      for (auto& batch : (*frame)->batches)
        std::move(batch.documents.begin(), batch.documents.end(), std::back_inserter(documents_));
      return true;
    }
    if (again) break;
    // The segment may have grown since it was read. It only ever grows, or loses what was torn.
    auto bytes = folder_.read(name_);
    if (bytes) {
      if (auto s = folder_.sync(name_); !s.ok()) return fail(std::move(s));
      if (bytes->size() < at_)
        return fail(status_code::corrupt, text(name_, ": has become shorter than what was read"));
      bytes_ = std::move(*bytes);
    } else if (bytes.error().code() != status_code::not_found) {
      return fail(bytes.error());
    }
  }
  const auto names = folder_.list();
  if (!names) return fail(names.error());
  const std::string following = ingest_segment_name(next_);
  if (following == name_ || !std::binary_search(names->begin(), names->end(), following))
    return false;
  if (auto s = load(next_); !s.ok()) return fail(std::move(s));
  return next_frame();
}

} // namespace troupe::storage
