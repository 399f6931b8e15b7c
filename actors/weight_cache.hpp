// Packed weights on disk, so that the next start copies them instead of packing: one file for each
// model and format, its matrices in the order in which a loader asks for them. Everything is
// checked before it is used, and whatever is wrong only means that weights are packed again.
#pragma once

#include "base/status.hpp"
#include "compute/weight.hpp"
#include "storage/disk.hpp"
#include "storage/file_system.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace troupe::actors {

// Of the file's form and of what packing makes of a tensor: raise it when either changes.
inline constexpr uint32_t packing_version = 1;

// Which packed weights: a cheap identity of model and format, which names the file, and when the
// weight files changed.
struct weight_cache_key {
  uint64_t fingerprint = 0;
  uint64_t changed_at = 0;

  friend bool operator==(const weight_cache_key&, const weight_cache_key&) = default;
};

std::string weight_cache_name(const weight_cache_key& key);

class weight_cache_reader {
public:
  // not_found: there is none. corrupt, unsupported: it is of no use. Messages name the file.
  static result<weight_cache_reader> open(const storage::file_system& files,
                                          const std::string& path, const weight_cache_key& key);

  // The next matrix, which must be of this format and shape; corrupt when it is another one, or
  // not as it was written; exhausted without memory.
  result<compute::weight_matrix> next(compute::weight_format format, uint32_t outputs,
                                      uint32_t inputs);

private:
  result<std::span<const std::byte>> take(size_t bytes);

  std::string path_;
  std::unique_ptr<storage::mapped_file> file_;
  std::span<const std::byte> left_;
  compute::buffer_arena memory_;
};

// Writes under another name and renames at the end: a file with the right name is whole. The first
// failure sticks. One thread.
class weight_cache_writer {
public:
  weight_cache_writer(std::unique_ptr<storage::disk> disk, const weight_cache_key& key);
  // Removes what is not finished.
  ~weight_cache_writer();
  weight_cache_writer(const weight_cache_writer&) = delete;
  weight_cache_writer& operator=(const weight_cache_writer&) = delete;

  void add(const compute::weight_matrix& matrix);
  status finish();

private:
  void append(std::span<const std::byte> bytes);
  std::string unfinished() const { return name_ + ".new"; }

  std::unique_ptr<storage::disk> disk_;
  std::string name_;
  bool finished_ = false;
  status first_;
};

} // namespace troupe::actors
