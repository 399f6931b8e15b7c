// A folder of checkpoints. A checkpoint is a manifest and the chunks it names; chunks are called by
// their contents and shared, so that what has not changed since an earlier one costs nothing.
//
// Chunks are written and synced first, then the folder, then the manifest beside its place, synced
// and moved there, then the folder again: whatever call is the last one of a process or a machine,
// the folder has the old checkpoints or, in addition, the new one, whole. A disk that lied about
// what it synced is found out by the checksums of manifest and chunks when they are read. Removing
// goes the other way round: manifests, the folder, then chunks nobody names.
#pragma once

#include "storage/checkpoint_chunks.hpp"
#include "storage/checkpoint_files.hpp"
#include "storage/checkpoint_retention.hpp"
#include "storage/disk.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace troupe::storage {

struct checkpoint_info {
  uint64_t step = 0;
  uint64_t state_hash = 0;
  std::optional<double> score = {}; // less is better
  std::vector<schemas::checkpoint_setting> settings = {};
};

// A manifest of the folder, or why it cannot be read.
struct checkpoint_entry {
  std::string file;
  uint64_t step = 0;
  std::optional<schemas::checkpoint_manifest> manifest;
  status damage; // ok with a manifest
};

// A whole checkpoint, every byte of it checked.
class loaded_checkpoint {
public:
  std::string file;
  schemas::checkpoint_manifest manifest;
  std::vector<std::byte> bytes; // of all parts

  std::vector<checkpoint_part> parts() const; // valid as long as this
  checkpoint_info info() const;
};

struct checkpoint_written {
  std::string file;
  uint64_t bytes = 0, new_bytes = 0;
  size_t chunks = 0, new_chunks = 0;
};

struct checkpoint_pruned {
  std::vector<std::string> manifests;
  size_t chunks = 0;
  size_t unfinished = 0; // files of writes that never ended
};

struct checkpoint_scrub {
  size_t checkpoints = 0, chunks = 0;
  uint64_t bytes = 0;
  size_t orphans = 0;               // chunks that no manifest names
  std::vector<std::string> damaged; // manifests of checkpoints that cannot be restored
  std::vector<status> damages;      // each names its file
};

// Calls wait for the disk; one at a time, and only one store at a time for a folder.
class checkpoint_store {
public:
  explicit checkpoint_store(disk& folder, const chunk_sizes& sizes = {}) // must outlive this
      : folder_(folder), sizes_(sizes) {}

  // Durable when it returns, as far as the disk tells the truth. After a failure (`exhausted`: no
  // space) the earlier checkpoints are as they were. Writing the same again is no failure.
  result<checkpoint_written> write(const checkpoint_info& info,
                                   std::span<const checkpoint_part> parts);

  // Oldest first. Fails only when the folder cannot be read.
  result<std::vector<checkpoint_entry>> list();

  // `corrupt` or `not_found` names the first damaged file and what is wrong with it.
  result<loaded_checkpoint> read(const checkpoint_entry& entry);
  // The newest intact one; `passed` gets why each newer one is not. `not_found` when there is none.
  result<loaded_checkpoint> read_newest(std::vector<status>& passed);

  // Removes what the rule allows, and chunks that nobody names any more. Nothing is removed unless
  // every manifest can be read or is known to be damaged.
  result<checkpoint_pruned> prune(const checkpoint_retention& rule);
  // Removes these and every chunk that only they named.
  result<checkpoint_pruned> remove(std::span<const std::string> manifests);

  // Reads every byte of every checkpoint, whatever has been read before.
  result<checkpoint_scrub> scrub();

private:
  struct writing;
  status put_chunk(std::span<const std::byte> bytes, writing& to);
  result<std::string> put_manifest(const schemas::checkpoint_manifest& manifest, bool& moved);
  status put_file(const std::string& name, std::span<const std::byte> bytes, bool* moved = nullptr);
  result<std::vector<std::byte>> read_chunk(const schemas::checkpoint_chunk& chunk);
  status check(const checkpoint_entry& entry);
  result<checkpoint_pruned> remove_named(std::span<const std::string> manifests,
                                         std::span<const checkpoint_entry> entries);
  void forget(const std::vector<std::string>& chunks);

  disk& folder_;
  const chunk_sizes sizes_;
  std::set<std::string> trusted_; // chunks that this store has written or found whole
  uint64_t writes_ = 0;
};

} // namespace troupe::storage
