// Every change is done to the cache at once and kept in a list; syncing takes it off the list into
// the durable state, and a crash decides about those that are still there.
#include "simulations/seams/disk_image.hpp"

#include "simulations/kernel/draws.hpp"

#include <algorithm>
#include <utility>

namespace troupe::simulations {

const disk_image::bytes* disk_image::find(const std::string& name) const {
  const auto at = cached_.names.find(name);
  if (at == cached_.names.end()) return nullptr;
  return &cached_.files.at(at->second);
}

std::vector<std::string> disk_image::names() const {
  std::vector<std::string> out;
  for (const auto& [name, file] : cached_.names) out.push_back(name);
  return out;
}

// -- changes

disk_image::file_id disk_image::open(const std::string& name) {
  if (const auto at = cached_.names.find(name); at != cached_.names.end()) return at->second;
  change created;
  created.kind = change::kind_of::create;
  created.file = ++files_made_;
  created.name = name;
  apply(std::move(created));
  return files_made_;
}

void disk_image::write(const std::string& name, std::span<const std::byte> content) {
  change c;
  c.kind = change::kind_of::write;
  c.file = open(name);
  c.content.assign(content.begin(), content.end());
  apply(std::move(c));
}

void disk_image::append(const std::string& name, std::span<const std::byte> content) {
  change c;
  c.kind = change::kind_of::append;
  c.file = open(name);
  c.offset = cached_.files[c.file].size();
  c.content.assign(content.begin(), content.end());
  apply(std::move(c));
}

bool disk_image::rename(const std::string& from, const std::string& to) {
  const auto at = cached_.names.find(from);
  if (at == cached_.names.end()) return false;
  if (from == to) return true;
  change c;
  c.kind = change::kind_of::rename;
  c.file = at->second;
  c.name = to;
  c.from = from;
  apply(std::move(c));
  return true;
}

bool disk_image::remove(const std::string& name) {
  const auto at = cached_.names.find(name);
  if (at == cached_.names.end()) return false;
  change c;
  c.kind = change::kind_of::remove;
  c.file = at->second;
  c.name = name;
  apply(std::move(c));
  return true;
}

void disk_image::apply(change c) {
  apply(c, cached_);
  changes_.push_back(std::move(c));
}

void disk_image::apply(const change& c, state& to) {
  switch (c.kind) {
    case change::kind_of::create:
      to.names[c.name] = c.file;
      to.files.try_emplace(c.file);
      break;
    case change::kind_of::rename:
      if (const auto at = to.names.find(c.from); at != to.names.end() && at->second == c.file)
        to.names.erase(at);
      to.names[c.name] = c.file;
      to.files.try_emplace(c.file);
      break;
    case change::kind_of::remove:
      if (const auto at = to.names.find(c.name); at != to.names.end() && at->second == c.file)
        to.names.erase(at);
      break;
    case change::kind_of::write:
    case change::kind_of::append:
      apply_part(c, c.content.size(), to);
      break;
  }
}

// The first bytes of a change of a file's content. An append whose forerunner was lost leaves a
// hole.
void disk_image::apply_part(const change& c, size_t length, state& to) {
  bytes& file = to.files[c.file];
  if (c.kind == change::kind_of::write) file.clear();
  if (file.size() < c.offset + length) file.resize(c.offset + length);
  std::copy_n(c.content.begin(), length, file.begin() + static_cast<ptrdiff_t>(c.offset));
}

// -- what becomes durable

bool disk_image::sync(const std::string& name) {
  const auto at = cached_.names.find(name);
  if (at == cached_.names.end()) return false;
  const file_id file = at->second;
  durable_.files[file] = cached_.files[file];
  std::erase_if(changes_, [file](const change& c) { return c.is_content() && c.file == file; });
  return true;
}

void disk_image::sync_directory() {
  for (const change& c : changes_)
    if (!c.is_content()) apply(c, durable_);
  std::erase_if(changes_, [](const change& c) { return !c.is_content(); });
}

void disk_image::crash(crash_fate fate, const draws& drawn) {
  switch (fate) {
    case crash_fate::keep_all:
      for (const change& c : changes_) apply(c, durable_);
      break;
    case crash_fate::drop_unsynced:
      break;
    case crash_fate::tear:
      keep_prefix(drawn);
      break;
    case crash_fate::reorder:
      keep_some(drawn);
      break;
  }
  changes_.clear();
  std::map<file_id, bytes> named;
  for (const auto& [name, file] : durable_.names) // a lost rename may leave a file two names
    if (!named.contains(file)) named[file] = std::move(durable_.files[file]);
  durable_.files = std::move(named);
  cached_ = durable_;
}

// In the order in which they were made, up to some point, and of the one there a part.
void disk_image::keep_prefix(const draws& drawn) {
  if (changes_.empty()) return;
  const auto [where, length, unused_a, unused_b] = drawn(0);
  const size_t kept = below(where, changes_.size() + 1);
  for (size_t i = 0; i < kept; ++i) apply(changes_[i], durable_);
  if (kept == changes_.size() || !changes_[kept].is_content()) return;
  const size_t part = below(length, changes_[kept].content.size() + 2); // 0: not even begun
  if (part > 0) apply_part(changes_[kept], part - 1, durable_);
}

// Each for itself: whole, in part, or not at all.
void disk_image::keep_some(const draws& drawn) {
  for (size_t i = 0; i < changes_.size(); ++i) {
    const auto [fate, length, unused_a, unused_b] = drawn(i);
    const uint64_t third = below(fate, 3);
    if (third == 0) continue;
    if (third == 1 && changes_[i].is_content())
      apply_part(changes_[i], below(length, changes_[i].content.size() + 1), durable_);
    else
      apply(changes_[i], durable_);
  }
}

// -- damage

void disk_image::flip_bit(const std::string& name, uint64_t bit) {
  const file_id file = cached_.names.at(name);
  const auto flip = [bit](bytes& content) {
    if (bit / 8 < content.size()) content[bit / 8] ^= std::byte{1} << (bit % 8);
  };
  flip(cached_.files[file]);
  if (const auto at = durable_.files.find(file); at != durable_.files.end()) flip(at->second);
  for (change& c : changes_) { // so that syncing does not heal it
    if (c.is_content() && c.file == file && bit / 8 >= c.offset &&
        bit / 8 < c.offset + c.content.size())
      c.content[bit / 8 - c.offset] ^= std::byte{1} << (bit % 8);
  }
}

void disk_image::swap(const std::string& a, const std::string& b) {
  const file_id first = cached_.names.at(a), second = cached_.names.at(b);
  std::swap(cached_.files[first], cached_.files[second]);
  std::swap(durable_.files[first], durable_.files[second]);
  for (change& c : changes_) {
    if (!c.is_content()) continue;
    if (c.file == first)
      c.file = second;
    else if (c.file == second)
      c.file = first;
  }
}

} // namespace troupe::simulations
