// The file seam: what the engine reads (and later writes) goes through here, so that a simulation
// can put a disk of its own behind it.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::storage {

// The bytes of a file, unchanging for the object's lifetime. A file of a real disk that somebody
// shortens meanwhile ends the process (SIGBUS); model files are not edited in place.
class mapped_file {
public:
  virtual ~mapped_file() = default;
  virtual std::span<const std::byte> bytes() const = 0;
};

// Thread-safe. Every failure names the path and what the system said.
class file_system {
public:
  virtual ~file_system() = default;

  // not_found, invalid_argument for a directory, unavailable for anything else the system refuses.
  virtual result<std::unique_ptr<mapped_file>> map(const std::string& path) const = 0;

  // The whole file as text; `exhausted` when it is larger than bytes_max.
  virtual result<std::string> read_text(const std::string& path, size_t bytes_max) const = 0;

  // Whether a regular file is there.
  virtual bool exists(const std::string& path) const = 0;

  // A number that changes when the file does, as its time of change; 0 where nobody can tell.
  virtual uint64_t changed_at(const std::string& path) const = 0;

  // Names in a directory, sorted, without "." and "..".
  virtual result<std::vector<std::string>> list(const std::string& directory) const = 0;
};

} // namespace troupe::storage
