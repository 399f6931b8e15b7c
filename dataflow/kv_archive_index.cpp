// Books of the pages on a disk.
#include "dataflow/kv_archive_index.hpp"

#include "base/check.hpp"

#include <algorithm>

namespace troupe::dataflow {

const archived_page* kv_archive_index::find(uint64_t chain) const {
  const auto entry = pages_.find(chain);
  return entry == pages_.end() ? nullptr : &entry->second.page;
}

void kv_archive_index::touch(uint64_t chain) {
  auto& place = pages_.at(chain);
  const bool is_leaf = !has_children(chain);
  if (is_leaf) leaves_.erase({place.used_at, chain});
  place.used_at = ++tick_;
  if (is_leaf) leaves_.insert({place.used_at, chain});
}

bool kv_archive_index::add(const archived_page& page, std::vector<archived_page>& removed) {
  TROUPE_CHECK(page.chain != 0 && find(page.chain) == nullptr);
  if (page.bytes > bytes_max_) return false;
  // Its parent is about to be used and must not make room for it.
  if (page.parent != 0 && find(page.parent) != nullptr) touch(page.parent);
  while (bytes_ + page.bytes > bytes_max_) {
    const uint64_t chain = leaves_.begin()->second;
    if (chain == page.parent) return false; // all that is left is its own beginning
    removed.push_back(pages_.at(chain).page);
    remove(chain);
  }
  if (page.parent != 0 && children_[page.parent]++ == 0)
    if (const auto parent = pages_.find(page.parent); parent != pages_.end())
      leaves_.erase({parent->second.used_at, page.parent});
  place made{page, ++tick_};
  last_number_ = std::max(last_number_, page.number);
  bytes_ += page.bytes;
  if (!has_children(page.chain)) leaves_.insert({made.used_at, page.chain});
  pages_.emplace(page.chain, made);
  return true;
}

void kv_archive_index::remove(uint64_t chain) {
  const auto entry = pages_.find(chain);
  if (entry == pages_.end()) return;
  const place gone = entry->second;
  leaves_.erase({gone.used_at, chain});
  bytes_ -= gone.page.bytes;
  pages_.erase(entry);
  if (gone.page.parent == 0) return;
  const auto siblings = children_.find(gone.page.parent);
  TROUPE_CHECK(siblings != children_.end());
  if (--siblings->second > 0) return;
  children_.erase(siblings);
  if (const auto parent = pages_.find(gone.page.parent); parent != pages_.end())
    leaves_.insert({parent->second.used_at, gone.page.parent});
}

void kv_archive_index::check_invariants() const {
  uint64_t bytes = 0;
  size_t leaves = 0;
  std::map<uint64_t, uint32_t> children;
  for (const auto& [chain, place] : pages_) {
    TROUPE_CHECK(place.page.chain == chain);
    bytes += place.page.bytes;
    if (place.page.parent != 0) ++children[place.page.parent];
    const bool is_leaf = !has_children(chain);
    leaves += is_leaf;
    TROUPE_CHECK(leaves_.count({place.used_at, chain}) == size_t{is_leaf});
  }
  TROUPE_CHECK(children == children_ && leaves == leaves_.size());
  TROUPE_CHECK(bytes == bytes_ && bytes <= bytes_max_);
}

} // namespace troupe::dataflow
