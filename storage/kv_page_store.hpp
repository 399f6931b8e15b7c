// A folder of KV pages. A page is written beside its place and moved there, so a name means a whole
// file unless the power failed; a file's checksum says whether it did. Nothing is synced: what a
// crash of the machine takes is computed again.
#pragma once

#include "storage/disk.hpp"
#include "storage/kv_page_file.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace troupe::storage {

// Calls wait for the disk; one at a time.
class kv_page_store {
public:
  explicit kv_page_store(disk& folder) : folder_(folder) {} // must outlive this

  struct contents {
    hash_key key;                    // of this folder, for chains
    std::vector<kv_page_name> pages; // in the order in which they were written
    size_t unreadable = 0;           // files whose key was lost, removed
  };
  // What an earlier process left. A folder without a readable key gets `fresh_key`, and the pages
  // in it, which nobody can find any more, are removed. Fails when the disk does.
  result<contents> open(const hash_key& fresh_key);

  // `exhausted`: no space. Nothing is left behind by a failure, as far as the disk allows.
  status write(const kv_page_name& name, std::span<const std::byte> file);
  result<std::vector<std::byte>> read(const kv_page_name& name);
  status remove(const kv_page_name& name);

private:
  result<hash_key> load_key();
  status store_key(const hash_key& key);

  disk& folder_;
};

} // namespace troupe::storage
