// A folder of published weights: how training hands versions to serving. DIR/<number>/ is a model
// directory with a version.json, written last, that holds the checksums of its files; without it,
// or when a file is not as it says, there is no such version. DIR/promoted.json says which version
// is in force and is replaced as a whole.
#pragma once

#include "storage/disk.hpp"
#include "storage/file_system.hpp"
#include "storage/weights_manifest.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::storage {

// Calls wait for the disk. Several processes may use one folder: who changes it has its lock for
// that moment (posix_disk), and finds `unavailable` while another one has.
class weights_registry {
public:
  // Opens a folder for writing, making it when it is missing.
  using disk_opener = std::function<result<std::unique_ptr<disk>>(const std::string& folder)>;

  // `files` must outlive it.
  weights_registry(const file_system& files, disk_opener open_disk, std::string folder)
      : files_(files), open_disk_(std::move(open_disk)), folder_(std::move(folder)) {}

  const std::string& folder() const { return folder_; }
  std::string path_of(uint64_t version) const;

  // -- publishing

  // A version on its way: a folder of its own, to be filled with the files of a model.
  struct candidate {
    uint64_t version = 0;
    std::string path;
    std::unique_ptr<disk> folder;
  };
  // The next number; numbers are never used again.
  result<candidate> begin();
  // Everything of the candidate that must be durable is, and then version.json is written. Fills in
  // number, files and checksum of `facts`. Fails when the folder holds no model.
  result<weights_manifest> publish(candidate made, weights_manifest facts);

  // -- looking

  // One entry of the folder that is, or should be, a version.
  struct listed {
    std::string name;
    status why; // why it is none; then the manifest is empty
    weights_manifest manifest;
  };
  // Versions by number, then what else is there under foreign names.
  result<std::vector<listed>> list() const;
  // What version.json says; does not look at the other files.
  result<weights_manifest> read(uint64_t version) const;
  // Reads every file of the version. `corrupt` names the first that is not as it was published.
  result<weights_manifest> verify(uint64_t version) const;
  // An empty record when nothing was ever promoted.
  result<promotion_record> promotions() const;

  // -- deciding; each returns the record that is in force now

  // The version must be whole and must have passed its gate. Promoting the one in force changes
  // nothing.
  result<promotion_record> promote(uint64_t version, std::string_view reason, int64_t now,
                                   bool despite_gate = false);
  // Back to the version before. With `expected`, only if that is the one in force.
  result<promotion_record> roll_back(std::string_view reason, int64_t now, uint64_t expected = 0);

  // Removes the files of all versions but the newest `keep`, the one in force and the one before
  // it. Their empty folders stay, so that their numbers do. Returns the numbers.
  result<std::vector<uint64_t>> prune(uint32_t keep);

private:
  result<std::vector<std::string>> names() const;
  result<published_file> describe(const std::string& path, const std::string& name) const;
  status store(disk& folder, const promotion_record& record) const;

  const file_system& files_;
  disk_opener open_disk_;
  std::string folder_;
};

} // namespace troupe::storage
