// A folder of checkpoints as the commands use it: opened, and one of its checkpoints chosen.
#pragma once

#include "storage/checkpoint_store.hpp"
#include "storage/posix_disk.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace troupe::cli {

class checkpoint_folder {
public:
  enum class purpose { look, change, make }; // make: the folder may be missing

  // look: another process may be writing there. `not_found` unless there is such a folder.
  static result<checkpoint_folder> open(const std::string& path, purpose what_for);

  const std::string& path() const { return path_; }
  storage::checkpoint_store& store() { return *store_; }

  // Whole and checked: the newest intact one, or that of a step. `passed` gets what is wrong with
  // newer ones. Failures name the folder and, where there is no such step, the steps there are.
  result<storage::loaded_checkpoint> read(std::optional<uint64_t> step,
                                          std::vector<status>& passed);

private:
  checkpoint_folder(std::string path, std::unique_ptr<storage::posix_disk> disk)
      : path_(std::move(path)),
        disk_(std::move(disk)),
        store_(std::make_unique<storage::checkpoint_store>(*disk_)) {}

  std::string path_;
  std::unique_ptr<storage::posix_disk> disk_;
  std::unique_ptr<storage::checkpoint_store> store_; // of disk_
};

// "0123456789abcdef", as learn prints the state of a run.
std::string state_text(uint64_t hash);

} // namespace troupe::cli
