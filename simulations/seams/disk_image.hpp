// What a disk holds: the bytes and names that would survive anything, and the changes since, which
// live in the page cache until they are synced. A crash keeps some of them.
#pragma once

#include "simulations/seams/simulated_disk.hpp"

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace troupe::simulations {

class disk_image {
public:
  using bytes = std::vector<std::byte>;

  // As programs see it. A file is named by what it is called now.
  const bytes* find(const std::string& name) const;
  std::vector<std::string> names() const;

  void write(const std::string& name, std::span<const std::byte> content);
  void append(const std::string& name, std::span<const std::byte> content);
  bool rename(const std::string& from, const std::string& to); // false: no such file
  bool remove(const std::string& name);

  bool sync(const std::string& name); // false: no such file
  void sync_directory();

  // Four random words for the n-th change that was not synced.
  using draws = std::function<std::array<uint32_t, 4>(uint64_t n)>;
  void crash(crash_fate fate, const draws& drawn);

  // Damage below the file system: it shows at once and survives everything.
  void flip_bit(const std::string& name, uint64_t bit);
  void swap(const std::string& a, const std::string& b);

  size_t unsynced() const { return changes_.size(); }

private:
  using file_id = uint64_t; // as an inode
  struct state {
    std::map<std::string, file_id> names;
    std::map<file_id, bytes> files;
  };
  struct change {
    enum class kind_of : uint8_t { create, rename, remove, write, append };
    kind_of kind = kind_of::create;
    file_id file = 0;
    std::string name, from; // of the directory's changes
    uint64_t offset = 0;    // append
    bytes content;          // write, append
    bool is_content() const { return kind == kind_of::write || kind == kind_of::append; }
  };

  file_id open(const std::string& name);
  void apply(change c);
  static void apply(const change& c, state& to);
  static void apply_part(const change& c, size_t length, state& to);
  void keep_prefix(const draws& drawn);
  void keep_some(const draws& drawn);

  state durable_;
  state cached_;                // durable_ with all changes
  std::vector<change> changes_; // not synced, oldest first
  file_id files_made_ = 0;
};

} // namespace troupe::simulations
