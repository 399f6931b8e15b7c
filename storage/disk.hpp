// The writable side of the file seam: a folder of one node in which a few small files must outlive
// the process. Calls block, so they belong on an io_worker.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::storage {

// Names have no slashes. What is written may be lost in a crash until it has been synced: a file's
// bytes by sync(name), its name (create, rename, remove) by sync_directory(). Failures name the
// file and what the system said: not_found, exhausted (no space), unavailable (anything else).
// One thread at a time.
class disk {
public:
  virtual ~disk() = default;
  virtual result<std::vector<std::byte>> read(const std::string& name) = 0;
  // Creates the file or replaces all of its bytes.
  virtual status write(const std::string& name, std::span<const std::byte> bytes) = 0;
  // Creates the file or adds to its end.
  virtual status append(const std::string& name, std::span<const std::byte> bytes) = 0;
  virtual status sync(const std::string& name) = 0;
  virtual status rename(const std::string& from, const std::string& to) = 0;
  virtual status remove(const std::string& name) = 0;
  virtual status sync_directory() = 0;
  virtual result<std::vector<std::string>> list() = 0; // sorted
};

} // namespace troupe::storage
