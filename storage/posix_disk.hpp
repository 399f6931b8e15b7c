// A folder of the machine's disk that belongs to one process.
#pragma once

#include "storage/disk.hpp"

#include <memory>
#include <string>

namespace troupe::storage {

class posix_disk final : public disk {
public:
  // Makes the folder when it is missing. It stays locked until destruction: two processes that vote
  // with the same folder would break each other's promises. unavailable: another process has it, or
  // nothing can be written in it.
  static result<std::unique_ptr<posix_disk>> open(const std::string& folder);

  // To look at a folder that belongs to another process: no lock, and the folder must be there.
  // Only to be read, synced and listed.
  static result<std::unique_ptr<posix_disk>> open_to_read(const std::string& folder);

  posix_disk(const posix_disk&) = delete;
  posix_disk& operator=(const posix_disk&) = delete;
  ~posix_disk() override;

  result<std::vector<std::byte>> read(const std::string& name) override;
  status write(const std::string& name, std::span<const std::byte> bytes) override;
  status append(const std::string& name, std::span<const std::byte> bytes) override;
  status sync(const std::string& name) override;
  status rename(const std::string& from, const std::string& to) override;
  status remove(const std::string& name) override;
  status sync_directory() override;
  result<std::vector<std::string>> list() override;

private:
  posix_disk(std::string folder, int folder_fd);
  status put(const std::string& name, int flags, std::span<const std::byte> bytes);
  status check_name(const std::string& name) const;
  status refused(const std::string& name, const char* action, int error) const;

  std::string folder_;
  int folder_fd_; // also holds the lock
};

} // namespace troupe::storage
