// Everything that is kept is in memory; the segments are only ever read at the start. Room on the
// disk is made by copying what is still kept from the oldest segment to the newest, then removing
// the oldest.
#include "storage/request_journal.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "schemas/checksum.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <set>
#include <utility>

namespace troupe::storage {
namespace {

constexpr std::string_view segment_magic = "TRPREQST";
constexpr uint32_t segment_version = 1;
constexpr size_t segment_head_bytes = 16;
constexpr size_t record_head_bytes = 12;
constexpr std::string_view segment_prefix = "requests-";
constexpr size_t segment_digits = 16;
constexpr size_t dropped_max = 65536; // response ids that are remembered as gone

void put_number(std::vector<std::byte>& to, size_t bytes, uint64_t value) {
  for (size_t i = 0; i < bytes; ++i) to.push_back(static_cast<std::byte>(value >> (8 * i)));
}

uint64_t number_at(const std::byte* from, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= std::to_integer<uint64_t>(from[i]) << (8 * i);
  return value;
}

std::string segment_name(uint64_t number) {
  const std::string digits = std::to_string(number);
  return text(segment_prefix, std::string(segment_digits - digits.size(), '0'), digits);
}

// 0: the name of something else.
uint64_t segment_number(std::string_view name) {
  if (name.size() != segment_prefix.size() + segment_digits || !name.starts_with(segment_prefix))
    return 0;
  name.remove_prefix(segment_prefix.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc{} && end == name.data() + name.size() ? number : 0;
}

std::vector<std::byte> segment_head() {
  std::vector<std::byte> out(segment_head_bytes);
  std::memcpy(out.data(), segment_magic.data(), segment_magic.size());
  out[segment_magic.size()] = std::byte{segment_version};
  return out;
}

std::vector<std::byte> record_of(std::span<const std::byte> content) {
  std::vector<std::byte> out;
  out.reserve(record_head_bytes + content.size());
  put_number(out, 4, content.size());
  put_number(out, 8, schemas::checksum_of(content));
  out.insert(out.end(), content.begin(), content.end());
  return out;
}

uint64_t hash_of(std::string_view response_id) {
  return schemas::checksum_of(std::as_bytes(std::span(response_id)));
}

// Waits for the disk and for other nodes, then says how far the entry got. Shared by both.
class put_outcome {
public:
  put_outcome(request_journal::put_done done, int awaited)
      : done_(std::move(done)), awaited_(awaited) {}

  void hear(kept_in where) {
    {
      const std::lock_guard lock(mutex_);
      best_ = std::max(best_, where);
      if (--awaited_ > 0) return;
    }
    done_(best_);
  }

private:
  request_journal::put_done done_;
  std::mutex mutex_;
  int awaited_;
  kept_in best_ = kept_in::memory;
};

} // namespace

request_journal::request_journal(const clock& time, const journal_options& options)
    : time_(time), options_(options) {}

result<std::unique_ptr<request_journal>> request_journal::open(disk& folder, io_worker& worker,
                                                               const clock& time,
                                                               const journal_options& options) {
  auto made = std::make_unique<request_journal>(time, options);
  made->folder_ = &folder;
  made->worker_ = &worker;
  if (auto s = made->load(); !s.ok()) return fail(std::move(s));
  return made;
}

request_journal::~request_journal() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return !writing_; });
}

// -- what is kept

void request_journal::put(journaled_request entry, put_done done) {
  entry.expires = time_.wall_seconds() + options_.age_max_s;
  auto content = encode(entry);
  auto record = record_of(content);
  std::unique_lock lock(mutex_);
  ++counters_.put;
  if (record.size() > options_.bytes_max / 4) {
    ++counters_.refused;
    lock.unlock();
    return done(kept_in::none);
  }
  if (const auto same = find_same(entry); same != entries_.end()) { // asked again after a break
    const auto where = same->segment != 0 ? kept_in::disk : kept_in::memory;
    same->finished = false;
    finished_.erase(same->number);
    lock.unlock();
    return done(where);
  }
  const auto outcome = std::make_shared<put_outcome>(std::move(done), replicate_ ? 2 : 1);
  const bool written =
      keep(std::make_shared<const journaled_request>(std::move(entry)), std::move(record),
           [outcome](bool done) { outcome->hear(done ? kept_in::disk : kept_in::memory); });
  begin_batch(std::move(lock));
  if (!written) outcome->hear(kept_in::memory);
  if (replicate_)
    replicate_(content, [outcome](bool there) {
      outcome->hear(there ? kept_in::cluster : kept_in::memory);
    });
}

status request_journal::absorb(std::span<const std::byte> bytes) {
  auto entry = decode_request(bytes);
  if (!entry) return entry.error();
  const int64_t now = time_.wall_seconds();
  entry->expires = std::min(entry->expires, now + options_.age_max_s);
  if (entry->expires <= now) return {};
  auto record = record_of(encode(*entry));
  std::unique_lock lock(mutex_);
  if (record.size() > options_.bytes_max / 4) {
    ++counters_.refused;
    return status(status_code::exhausted,
                  text("a request of ", record.size(), " bytes is too large for a journal of ",
                       options_.bytes_max));
  }
  if (find_same(*entry) != entries_.end()) return {};
  ++counters_.absorbed;
  (void)keep(std::make_shared<const journaled_request>(std::move(*entry)), std::move(record),
             nullptr);
  begin_batch(std::move(lock));
  return {};
}

bool request_journal::keep(entry_pointer entry, std::vector<std::byte> record, const told& done) {
  drop_old(time_.wall_seconds());
  const auto at = add(std::move(entry), record.size());
  const uint64_t number = at->number;
  make_room();
  if (folder_ == nullptr) return false;
  if (waiting_bytes_ + record.size() > options_.bytes_max / 4) { // a slow disk
    ++counters_.write_failures;
    return false;
  }
  waiting_bytes_ += record.size();
  waiting_.push_back({number, std::move(record), done});
  return true;
}

void request_journal::finish(const std::string& response_id, uint64_t nonce) {
  const std::lock_guard lock(mutex_);
  const auto [first, last] = by_id_.equal_range(response_id);
  for (auto at = first; at != last; ++at) {
    if (at->second->entry->nonce != nonce) continue;
    at->second->finished = true;
    finished_.insert(at->second->number);
  }
}

request_journal::found request_journal::find(const std::string& response_id) {
  found out;
  const std::lock_guard lock(mutex_);
  drop_old(time_.wall_seconds());
  const auto [first, last] = by_id_.equal_range(response_id);
  std::vector<position> matches;
  for (auto at = first; at != last; ++at) matches.push_back(at->second);
  std::sort(matches.begin(), matches.end(),
            [](position a, position b) { return a->number > b->number; });
  for (const auto match : matches) out.entries.push_back(match->entry);
  out.gone = out.entries.empty() && dropped_.contains(hash_of(response_id));
  return out;
}

journal_counters request_journal::counters() {
  const std::lock_guard lock(mutex_);
  auto out = counters_;
  out.entries = entries_.size();
  out.entry_bytes = entry_bytes_;
  for (const auto& [number, bytes] : segments_) out.segment_bytes += bytes;
  return out;
}

request_journal::position request_journal::find_same(const journaled_request& entry) {
  const auto [first, last] = by_id_.equal_range(entry.response_id);
  for (auto at = first; at != last; ++at)
    if (at->second->entry->nonce == entry.nonce && at->second->entry->owner == entry.owner &&
        at->second->entry->path == entry.path && at->second->entry->body == entry.body)
      return at->second;
  return entries_.end();
}

request_journal::position request_journal::add(entry_pointer entry, size_t bytes) {
  const auto [first, last] = by_id_.equal_range(entry->response_id); // in the order of arrival
  if (static_cast<size_t>(std::distance(first, last)) >= requests_of_one_id_max) {
    ++counters_.evicted;
    drop(first->second);
  }
  kept fresh;
  fresh.entry = std::move(entry);
  fresh.number = next_number_++;
  fresh.bytes = bytes;
  entry_bytes_ += bytes;
  const auto at = entries_.insert(entries_.end(), std::move(fresh));
  by_id_.emplace(at->entry->response_id, at);
  by_number_.emplace(at->number, at);
  return at;
}

void request_journal::drop(position at) {
  remember_dropped(at->entry->response_id);
  const auto [first, last] = by_id_.equal_range(at->entry->response_id);
  by_id_.erase(std::find_if(first, last, [at](const auto& pair) { return pair.second == at; }));
  by_number_.erase(at->number);
  finished_.erase(at->number);
  entry_bytes_ -= at->bytes;
  entries_.erase(at);
}

// All live equally long here, so the oldest go first; one that came from elsewhere with less time
// left goes when those before it have gone.
void request_journal::drop_old(int64_t now) {
  while (!entries_.empty() && entries_.front().entry->expires <= now) {
    ++counters_.expired;
    drop(entries_.begin());
  }
}

void request_journal::make_room() {
  while (entries_.size() > 1 &&
         (entries_.size() > options_.entries_max || entry_bytes_ > options_.bytes_max / 2)) {
    ++counters_.evicted;
    drop(finished_.empty() ? entries_.begin() : by_number_.at(*finished_.begin()));
  }
}

void request_journal::remember_dropped(const std::string& response_id) {
  const uint64_t hash = hash_of(response_id);
  if (!dropped_.insert(hash).second) return;
  dropped_order_.push_back(hash);
  if (dropped_order_.size() <= dropped_max) return;
  dropped_.erase(dropped_order_.front());
  dropped_order_.pop_front();
}

// -- the disk

// What comes while a batch is being written makes the next one.
void request_journal::begin_batch(std::unique_lock<std::mutex> lock) {
  if (writing_) return;
  if (waiting_.empty()) return idle_.notify_all();
  writing_ = true;
  // Shared by the job and its completion.
  const auto entries = std::make_shared<const batch>(std::exchange(waiting_, {}));
  waiting_bytes_ = 0;
  lock.unlock();
  const auto taken =
      worker_->submit([this, entries] { return write(*entries); },
                      [this, entries](const status& outcome) { end_batch(*entries, outcome); });
  if (taken.ok()) return;
  for (const auto& entry : *entries)
    if (entry.done) entry.done(false);
  lock.lock();
  ++counters_.write_failures;
  writing_ = false;
  begin_batch(std::move(lock));
}

status request_journal::write(const batch& entries) {
  std::vector<std::byte> bytes;
  for (const auto& entry : entries)
    bytes.insert(bytes.end(), entry.record.begin(), entry.record.end());
  TROUPE_RETURN_IF_ERROR(clean(bytes.size()));
  TROUPE_RETURN_IF_ERROR(append(bytes));
  return sync_segment();
}

status request_journal::append(std::span<const std::byte> bytes) {
  uint64_t length = 0;
  {
    const std::lock_guard lock(mutex_);
    if (open_segment_ != 0) length = segments_.at(open_segment_);
  }
  std::vector<std::byte> with_head;
  if (open_segment_ == 0 || length >= segment_bytes_max()) {
    open_segment_ = ++last_segment_;
    segment_named_ = false;
    with_head = segment_head();
    with_head.insert(with_head.end(), bytes.begin(), bytes.end());
    bytes = with_head;
    length = 0;
    // Replaces what an earlier attempt may have left under this name.
    const auto begun = folder_->write(segment_name(open_segment_), bytes);
    const std::lock_guard lock(mutex_);
    segments_[open_segment_] = bytes.size();
    return begun;
  }
  const auto added = folder_->append(segment_name(open_segment_), bytes);
  const std::lock_guard lock(mutex_);
  segments_.at(open_segment_) += bytes.size(); // also when it failed: some of it may be there
  return added;
}

status request_journal::sync_segment() {
  TROUPE_RETURN_IF_ERROR(folder_->sync(segment_name(open_segment_)));
  if (!segment_named_) TROUPE_RETURN_IF_ERROR(folder_->sync_directory());
  segment_named_ = true;
  return {};
}

// After a failure nobody knows what is at the end of the open segment: nothing is added to it any
// more. One that holds nothing anybody relies on goes at once, so that failing again and again
// leaves nothing behind.
void request_journal::give_up_segment() {
  const uint64_t number = std::exchange(open_segment_, 0);
  if (number == 0) return;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : entries_)
      if (entry.segment == number) return;
  }
  if (!folder_->remove(segment_name(number)).ok()) return; // clean() tries again
  const std::lock_guard lock(mutex_);
  segments_.erase(number);
}

// Makes room for what is coming: at most as many segments are looked at as there are now.
status request_journal::clean(uint64_t bytes_coming) {
  std::vector<uint64_t> numbers;
  uint64_t total = 0;
  {
    const std::lock_guard lock(mutex_);
    drop_old(time_.wall_seconds());
    for (const auto& [number, bytes] : segments_) {
      numbers.push_back(number);
      total += bytes;
    }
  }
  for (const uint64_t number : numbers) {
    if (total + bytes_coming + segment_bytes_max() <= options_.bytes_max) break;
    if (number == open_segment_) open_segment_ = 0;
    TROUPE_RETURN_IF_ERROR(clean_segment(number));
    const std::lock_guard lock(mutex_);
    total = 0;
    for (const auto& [other, bytes] : segments_) total += bytes;
  }
  return {};
}

// Copies what is still wanted of a segment, then removes it. A crash in between leaves some entries
// twice, which load() sees.
status request_journal::clean_segment(uint64_t number) {
  std::vector<uint64_t> moved;
  std::vector<std::byte> bytes;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : entries_) {
      if (entry.segment != number) continue;
      moved.push_back(entry.number);
      const auto record = record_of(encode(*entry.entry));
      bytes.insert(bytes.end(), record.begin(), record.end());
    }
  }
  if (!bytes.empty()) {
    TROUPE_RETURN_IF_ERROR(append(bytes));
    TROUPE_RETURN_IF_ERROR(sync_segment());
    const std::lock_guard lock(mutex_);
    for (const uint64_t entry : moved)
      if (const auto at = by_number_.find(entry); at != by_number_.end())
        at->second->segment = open_segment_;
  }
  if (const auto removed = folder_->remove(segment_name(number));
      !removed.ok() && removed.code() != status_code::not_found)
    return removed;
  const std::lock_guard lock(mutex_);
  segments_.erase(number);
  return {};
}

void request_journal::end_batch(const batch& entries, const status& outcome) {
  note_health(outcome);
  if (!outcome.ok()) give_up_segment();
  for (const auto& entry : entries) {
    {
      const std::lock_guard lock(mutex_);
      const auto at = by_number_.find(entry.number);
      if (outcome.ok() && at != by_number_.end()) at->second->segment = open_segment_;
    }
    if (entry.done) entry.done(outcome.ok());
  }
  std::unique_lock lock(mutex_);
  if (!outcome.ok()) ++counters_.write_failures;
  writing_ = false;
  begin_batch(std::move(lock));
}

void request_journal::note_health(const status& outcome) {
  if (outcome.ok() == !failing_) return;
  failing_ = !failing_;
  if (failing_)
    log::warn(text("request journal: ", outcome.why(),
                   "; until that works again answers can be resumed by their id only while this "
                   "process lives"));
  else
    log::info("request journal: the disk works again");
}

// -- the start

status request_journal::load() {
  const auto names = folder_->list();
  if (!names) return names.error();
  const std::lock_guard lock(mutex_);
  std::set<uint64_t> unread;        // kept: the disk may be better at the next start
  for (const auto& name : *names) { // sorted, which is their order
    const uint64_t number = segment_number(name);
    if (number == 0) continue;
    last_segment_ = std::max(last_segment_, number);
    const auto file = folder_->read(name);
    if (!file) {
      unread.insert(number);
      log::warn(text("request journal: ", file.error().why(), "; it is left out"));
    }
    segments_[number] = file ? file->size() : 0;
    if (file) load_segment(number, *file);
  }
  drop_old(time_.wall_seconds());
  make_room();
  if (counters_.unreadable_bytes > 0)
    log::warn(text("request journal: ", counters_.unreadable_bytes,
                   " bytes could not be read and are left out; the end of what a crash "
                   "interrupted looks like that"));
  for (auto at = segments_.begin(); at != segments_.end();) {
    const uint64_t number = at->first;
    const bool wanted = unread.contains(number) ||
                        std::any_of(entries_.begin(), entries_.end(), [number](const kept& entry) {
                          return entry.segment == number;
                        });
    at =
        !wanted && folder_->remove(segment_name(number)).ok() ? segments_.erase(at) : std::next(at);
  }
  return {};
}

// Up to the first record that is not whole: where the next one begins is not known then.
void request_journal::load_segment(uint64_t number, std::span<const std::byte> file) {
  const auto head = segment_head();
  size_t at = file.size() >= head.size() && std::equal(head.begin(), head.end(), file.begin())
                  ? head.size()
                  : file.size();
  if (at == file.size() && at != head.size()) counters_.unreadable_bytes += file.size();
  const int64_t now = time_.wall_seconds();
  while (at < file.size()) {
    const auto rest = file.subspan(at);
    const uint64_t length =
        rest.size() < record_head_bytes ? UINT64_MAX : number_at(rest.data(), 4);
    auto entry = result<journaled_request>(fail(status_code::corrupt, "is cut off"));
    if (length <= rest.size() - std::min(rest.size(), record_head_bytes)) {
      const auto content = rest.subspan(record_head_bytes, length);
      if (schemas::checksum_of(content) == number_at(rest.data() + 4, 8))
        entry = decode_request(content);
    }
    if (!entry) {
      counters_.unreadable_bytes += rest.size();
      return;
    }
    at += record_head_bytes + length;
    entry->expires = std::min(entry->expires, now + options_.age_max_s);
    if (const auto same = find_same(*entry); same != entries_.end()) {
      same->segment = number;
      continue;
    }
    const auto kept = add(std::make_shared<const journaled_request>(std::move(*entry)),
                          record_head_bytes + length);
    kept->segment = number;
  }
}

} // namespace troupe::storage
