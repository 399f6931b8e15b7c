// Files that live in memory: for tests and simulations.
#pragma once

#include "storage/file_system.hpp"

#include <map>
#include <memory>
#include <string>

namespace troupe::storage {

// Directories exist through the files in them. Filled before it is shared; then read by any thread.
class memory_file_system final : public file_system {
public:
  void put(const std::string& path, std::string content);
  void remove(const std::string& path);

  result<std::unique_ptr<mapped_file>> map(const std::string& path) const override;
  result<std::string> read_text(const std::string& path, size_t bytes_max) const override;
  bool exists(const std::string& path) const override;
  uint64_t changed_at(const std::string& path) const override;
  result<std::vector<std::string>> list(const std::string& directory) const override;

private:
  // Shared with the mapped files of the same content, which may outlive a removal.
  using content_pointer = std::shared_ptr<const std::string>;
  result<content_pointer> find(const std::string& path) const;

  std::map<std::string, content_pointer> files_;
};

} // namespace troupe::storage
