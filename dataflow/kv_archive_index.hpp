// Which KV pages a disk has, and which go when it may hold no more: of those on which no other page
// there hangs, the least recently used.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace troupe::dataflow {

struct archived_page {
  uint64_t chain = 0;  // what identifies it
  uint64_t parent = 0; // the chain that it continues; 0: none
  uint32_t pages_before = 0;
  uint64_t number = 0; // later ones were added later
  uint64_t bytes = 0;
  uint64_t identity = 0;
};

class kv_archive_index {
public:
  explicit kv_archive_index(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // Null when it is not there.
  const archived_page* find(uint64_t chain) const;
  // It was used now.
  void touch(uint64_t chain);
  // Must not be there. What goes for it is appended to `removed`, also when it is false: the page
  // does not fit beside the beginning it continues.
  bool add(const archived_page& page, std::vector<archived_page>& removed);
  void remove(uint64_t chain);

  uint64_t next_number() const { return last_number_ + 1; }
  uint64_t pages() const { return pages_.size(); }
  uint64_t bytes() const { return bytes_; }
  uint64_t bytes_max() const { return bytes_max_; }

  void check_invariants() const; // slow: for tests

private:
  struct place {
    archived_page page;
    uint64_t used_at = 0;
  };
  using leaf = std::pair<uint64_t, uint64_t>; // used_at, chain

  bool has_children(uint64_t chain) const { return children_.count(chain) != 0; }

  std::map<uint64_t, place> pages_;
  std::map<uint64_t, uint32_t> children_; // by parent, which need not be there; never 0
  std::set<leaf> leaves_;
  uint64_t bytes_max_;
  uint64_t bytes_ = 0;
  uint64_t tick_ = 0;
  uint64_t last_number_ = 0;
};

} // namespace troupe::dataflow
