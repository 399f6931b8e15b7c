// Frames are appended to the last segment; its head tells what clients had sent before, so that old
// segments can go without anybody being forgotten.
#include "storage/ingest_log.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "schemas/learning_codec.hpp"
#include "storage/ingest_segment.hpp"

#include <algorithm>

namespace troupe::storage {
namespace {

constexpr const char* scratch_name = "scratch";

} // namespace

result<std::unique_ptr<ingest_log>> ingest_log::open(disk& folder,
                                                     const ingest_log_options& options,
                                                     std::function<uint64_t()> committed) {
  std::unique_ptr<ingest_log> made(new ingest_log(folder, options, std::move(committed)));
  if (auto s = made->load(); !s.ok()) return fail(std::move(s));
  return made;
}

std::optional<schemas::ingest_client> ingest_log::find_client(std::string_view name) const {
  const auto found = clients_.find(name);
  if (found == clients_.end()) return std::nullopt;
  return found->second;
}

ingest_log_counters ingest_log::counters() const {
  auto out = counters_;
  out.begin = segments_.empty() ? end_ : segments_.front().first;
  out.end = end_;
  for (const auto& each : segments_) out.bytes += each.bytes;
  return out;
}

// -- what is there

status ingest_log::load() {
  segments_.clear();
  clients_.clear();
  end_ = 0;
  const auto names = folder_.list();
  if (!names) return names.error();
  std::vector<uint64_t> firsts;
  for (const auto& name : *names)
    if (const auto first = ingest_segment_first(name)) firsts.push_back(*first);
  for (size_t i = 0; i < firsts.size(); ++i)
    TROUPE_RETURN_IF_ERROR(load_segment(firsts[i], i + 1 == firsts.size()));
  unsure_ = false;
  return {};
}

// Only the last segment may end in what was never finished. It is written anew without: the part
// that is kept may itself have missed the disk when an earlier append failed.
status ingest_log::load_segment(uint64_t first, bool last) {
  const std::string name = ingest_segment_name(first);
  const auto bytes = folder_.read(name);
  if (!bytes) return bytes.error();
  auto head = read_segment_head(*bytes);
  if (!head) return status(status_code::corrupt, text(name, ": ", head.error().why()));
  if (head->first != first || (!segments_.empty() && first != end_))
    return status(status_code::corrupt, text(name, ": holds documents from ", head->first,
                                             " on, expected ", segments_.empty() ? first : end_));
  if (segments_.empty())
    for (auto& client : head->clients) clients_[client.name] = client;
  end_ = first;
  size_t at = head->bytes;
  for (;;) {
    auto frame = read_frame(std::span(*bytes).subspan(at), end_, options_.limits);
    if (!frame) return frame.error().within(name);
    if (!*frame) break;
    at += (*frame)->bytes;
    for (const auto& batch : (*frame)->batches) {
      note(batch, end_);
      end_ += batch.documents.size();
    }
  }
  segments_.push_back({first, at});
  if (at == bytes->size() && !last) return {};
  if (at == bytes->size() && !unsure_) { // it may have been left a moment before it was synced
    TROUPE_RETURN_IF_ERROR(folder_.sync(name));
    return folder_.sync_directory();
  }
  if (!last)
    return status(status_code::corrupt,
                  text(name, ": ends in ", bytes->size() - at, " bytes that are no documents"));
  if (at != bytes->size())
    log::warn(text(name, ": cut off ", bytes->size() - at, " bytes that were never finished"));
  counters_.torn_bytes += bytes->size() - at;
  return rewrite(name, std::span(*bytes).first(at));
}

status ingest_log::rewrite(const std::string& name, std::span<const std::byte> bytes) {
  TROUPE_RETURN_IF_ERROR(folder_.write(scratch_name, bytes));
  TROUPE_RETURN_IF_ERROR(folder_.sync(scratch_name));
  TROUPE_RETURN_IF_ERROR(folder_.rename(scratch_name, name));
  return folder_.sync_directory();
}

void ingest_log::note(const schemas::ingest_batch& batch, uint64_t first) {
  if (batch.client.empty()) return;
  clients_[batch.client] = {.name = batch.client,
                            .sequence = batch.sequence,
                            .mark = batch.mark,
                            .first = first,
                            .count = static_cast<uint32_t>(batch.documents.size())};
  if (clients_.size() <= options_.limits.clients_max) return;
  const auto oldest = std::min_element(
      clients_.begin(), clients_.end(),
      [](const auto& a, const auto& b) { return a.second.first < b.second.first; });
  log::warn(text("client ", oldest->first, " of ingest is forgotten: there are more than ",
                 options_.limits.clients_max));
  clients_.erase(oldest);
  ++counters_.clients_forgotten;
}

// -- what comes

result<std::vector<ingest_receipt>> ingest_log::append(
    std::span<const schemas::ingest_batch> batches) {
  if (unsure_) {
    if (auto s = load(); !s.ok()) {
      ++counters_.failed;
      unsure_ = true;
      return fail(s.code() == status_code::corrupt ? s : status(status_code::unavailable, s.why()));
    }
  }
  std::vector<ingest_receipt> receipts;
  std::vector<std::vector<std::byte>> encoded;
  std::vector<std::pair<const schemas::ingest_batch*, uint64_t>> fresh;
  clients known = clients_; // with what is in this very call
  uint64_t next = end_;
  for (const auto& batch : batches) {
    const auto last = known.find(batch.client);
    const bool repeated = !batch.client.empty() && !batch.begins_anew && last != known.end() &&
                          batch.sequence <= last->second.sequence;
    const auto count = static_cast<uint32_t>(batch.documents.size());
    if (repeated) {
      const bool the_last = batch.sequence == last->second.sequence;
      receipts.push_back(
          {the_last ? last->second.first : 0, the_last ? last->second.count : 0, true});
      continue;
    }
    auto bytes = schemas::encode_ingest_batch(batch, options_.limits);
    if (!bytes) return fail(status_code::invalid_argument, bytes.error().why());
    encoded.push_back(std::move(*bytes));
    fresh.emplace_back(&batch, next);
    if (!batch.client.empty())
      known[batch.client] = {batch.client, batch.sequence, batch.mark, next, count};
    receipts.push_back({next, count, false});
    next += count;
  }
  if (!fresh.empty()) {
    if (auto s = write(encode_frame(end_, encoded)); !s.ok()) {
      ++(s.code() == status_code::exhausted ? counters_.full : counters_.failed);
      return fail(std::move(s));
    }
    for (const auto& [batch, first] : fresh) note(*batch, first);
    counters_.documents += next - end_;
    counters_.batches += fresh.size();
    end_ = next;
  }
  counters_.repeated += batches.size() - fresh.size();
  return receipts;
}

status ingest_log::write(std::span<const std::byte> frame) {
  TROUPE_RETURN_IF_ERROR(make_room(frame.size()));
  unsure_ = true;
  if (segments_.empty() || segments_.back().bytes >= options_.segment_bytes) {
    TROUPE_RETURN_IF_ERROR(begin_segment(frame));
  } else {
    const std::string name = ingest_segment_name(segments_.back().first);
    TROUPE_RETURN_IF_ERROR(folder_.append(name, frame));
    TROUPE_RETURN_IF_ERROR(folder_.sync(name));
    segments_.back().bytes += frame.size();
  }
  unsure_ = false;
  return {};
}

status ingest_log::begin_segment(std::span<const std::byte> frame) {
  std::vector<schemas::ingest_client> known;
  for (const auto& [name, client] : clients_) known.push_back(client);
  auto bytes = encode_segment_head(end_, known);
  if (!bytes) return bytes.error();
  bytes->insert(bytes->end(), frame.begin(), frame.end());
  // Under its name only when it is whole: a segment always has a head and a first frame.
  TROUPE_RETURN_IF_ERROR(rewrite(ingest_segment_name(end_), *bytes));
  segments_.push_back({end_, bytes->size()});
  return {};
}

// Segments whose documents have all been learnt from go, the oldest first, but never the open one.
status ingest_log::make_room(uint64_t bytes) {
  uint64_t total = bytes;
  for (const auto& each : segments_) total += each.bytes;
  if (total <= options_.bytes_max) return {};
  const uint64_t committed = committed_();
  while (total > options_.bytes_max && segments_.size() > 1 && segments_[1].first <= committed) {
    TROUPE_RETURN_IF_ERROR(folder_.remove(ingest_segment_name(segments_.front().first)));
    total -= segments_.front().bytes;
    segments_.erase(segments_.begin());
  }
  if (total <= options_.bytes_max) return {};
  return status(status_code::exhausted,
                text("the log holds ", total - bytes, " of ", options_.bytes_max,
                     " bytes that nobody has learnt from yet"));
}

} // namespace troupe::storage
