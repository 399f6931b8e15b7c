// Files of the machine.
#pragma once

#include "storage/file_system.hpp"

namespace troupe::storage {

class posix_file_system final : public file_system {
public:
  result<std::unique_ptr<mapped_file>> map(const std::string& path) const override;
  result<std::string> read_text(const std::string& path, size_t bytes_max) const override;
  bool exists(const std::string& path) const override;
  uint64_t changed_at(const std::string& path) const override;
  result<std::vector<std::string>> list(const std::string& directory) const override;
};

} // namespace troupe::storage
