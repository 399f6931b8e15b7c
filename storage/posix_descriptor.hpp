// What every reader of the machine's files needs. Internal to code that calls POSIX.
#pragma once

#include "base/status.hpp"
#include "base/text.hpp"

#include <cerrno>
#include <string>
#include <system_error>
#include <unistd.h>

namespace troupe::storage {

// Closes it.
class posix_descriptor {
public:
  explicit posix_descriptor(int fd) : fd_(fd) {}
  posix_descriptor(const posix_descriptor&) = delete;
  posix_descriptor& operator=(const posix_descriptor&) = delete;
  ~posix_descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

private:
  int fd_;
};

// "path: cannot open: No such file or directory"; not_found, or unavailable for anything else.
inline status refused_by_system(const std::string& path, const char* action, int error) {
  const auto code =
      error == ENOENT || error == ENOTDIR ? status_code::not_found : status_code::unavailable;
  return status(code,
                text(path, ": cannot ", action, ": ", std::generic_category().message(error)));
}

} // namespace troupe::storage
