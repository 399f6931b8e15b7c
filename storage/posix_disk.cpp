// openat and its kin, with every refusal turned into a status that names the file.
#include "storage/posix_disk.hpp"

#include "base/text.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

namespace troupe::storage {
namespace {

constexpr mode_t file_mode = 0600;

status refusal(const std::string& path, const char* action, int error) {
  auto code = status_code::unavailable;
  if (error == ENOENT || error == ENOTDIR) code = status_code::not_found;
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) code = status_code::exhausted;
  return status(code,
                text(path, ": cannot ", action, ": ", std::generic_category().message(error)));
}

class descriptor {
public:
  explicit descriptor(int fd) : fd_(fd) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

private:
  int fd_;
};

// Zero or the error number.
int sync_descriptor(int fd) {
  while (::fsync(fd) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

int write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
  return 0;
}

// Zero or the error number; `out` ends where the file does.
int read_all(int fd, std::vector<std::byte>& out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::read(fd, out.data() + done, out.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  out.resize(done);
  return 0;
}

// Makes the folder so that it survives a crash: its name lives in the folder above.
status make_folder(const std::string& folder) {
  std::error_code error;
  if (!std::filesystem::create_directories(folder, error) && error)
    return refusal(folder, "make this folder", error.value());
  const auto above = std::filesystem::absolute(folder, error).lexically_normal().parent_path();
  const descriptor parent(::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.get() < 0) return refusal(above.string(), "open", errno);
  if (const int failed = sync_descriptor(parent.get()); failed != 0)
    return refusal(above.string(), "sync", failed);
  return {};
}

} // namespace

result<std::unique_ptr<posix_disk>> posix_disk::open(const std::string& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder, ignored)) {
    if (auto made = make_folder(folder); !made.ok()) return fail(std::move(made));
  }
  descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return fail(refusal(folder, "open this folder", errno));
  if (::faccessat(fd.get(), ".", W_OK | X_OK, AT_EACCESS) != 0)
    return fail(
        status_code::unavailable,
        text(folder, ": cannot write in this folder: ", std::generic_category().message(errno)));
  // Some network file systems cannot lock a folder; there the operator has to take care.
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return fail(status_code::unavailable, text(folder, ": another process uses this folder"));
  return std::unique_ptr<posix_disk>(new posix_disk(folder, fd.release())); // private constructor
}

result<std::unique_ptr<posix_disk>> posix_disk::open_to_read(const std::string& folder) {
  descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return fail(refusal(folder, "open this folder", errno));
  return std::unique_ptr<posix_disk>(new posix_disk(folder, fd.release())); // private constructor
}

posix_disk::posix_disk(std::string folder, int folder_fd)
    : folder_(std::move(folder)), folder_fd_(folder_fd) {}

posix_disk::~posix_disk() {
  ::close(folder_fd_);
}

result<std::vector<std::byte>> posix_disk::read(const std::string& name) {
  if (auto fine = check_name(name); !fine.ok()) return fail(std::move(fine));
  // Not to be stopped by a pipe that somebody put there.
  const descriptor file(::openat(folder_fd_, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return fail(refused(name, "open", errno));
  struct stat facts = {};
  if (::fstat(file.get(), &facts) != 0) return fail(refused(name, "read its size", errno));
  if (!S_ISREG(facts.st_mode))
    return fail(status_code::unavailable, text(folder_, "/", name, ": is not a regular file"));
  try {
    std::vector<std::byte> bytes(static_cast<size_t>(facts.st_size));
    if (const int failed = read_all(file.get(), bytes); failed != 0)
      return fail(refused(name, "read", failed));
    return bytes;
  } catch (const std::bad_alloc&) {
    return fail(status_code::exhausted,
                text(folder_, "/", name, ": no memory for its ", facts.st_size, " bytes"));
  }
}

status posix_disk::write(const std::string& name, std::span<const std::byte> bytes) {
  return put(name, O_TRUNC, bytes);
}

status posix_disk::append(const std::string& name, std::span<const std::byte> bytes) {
  return put(name, O_APPEND, bytes);
}

status posix_disk::put(const std::string& name, int flags, std::span<const std::byte> bytes) {
  TROUPE_RETURN_IF_ERROR(check_name(name));
  descriptor file(
      ::openat(folder_fd_, name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, file_mode));
  if (file.get() < 0) return refused(name, "open for writing", errno);
  if (const int failed = write_all(file.get(), bytes); failed != 0)
    return refused(name, "write", failed);
  // Quotas and network disks may only speak up here.
  if (::close(file.release()) != 0 && errno != EINTR) return refused(name, "close", errno);
  return {};
}

// Through a descriptor of its own: Linux (4.17 and later) reports a failed write-back to the first
// who syncs after it, also when the file was closed in between.
status posix_disk::sync(const std::string& name) {
  TROUPE_RETURN_IF_ERROR(check_name(name));
  const descriptor file(::openat(folder_fd_, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return refused(name, "open to sync", errno);
  if (const int failed = sync_descriptor(file.get()); failed != 0)
    return refused(name, "sync", failed);
  return {};
}

status posix_disk::rename(const std::string& from, const std::string& to) {
  TROUPE_RETURN_IF_ERROR(check_name(from));
  TROUPE_RETURN_IF_ERROR(check_name(to));
  if (::renameat(folder_fd_, from.c_str(), folder_fd_, to.c_str()) != 0)
    return refused(from, text("rename to ", to).c_str(), errno);
  return {};
}

status posix_disk::remove(const std::string& name) {
  TROUPE_RETURN_IF_ERROR(check_name(name));
  if (::unlinkat(folder_fd_, name.c_str(), 0) != 0) return refused(name, "remove", errno);
  return {};
}

status posix_disk::sync_directory() {
  if (const int failed = sync_descriptor(folder_fd_); failed != 0)
    return refusal(folder_, "sync this folder", failed);
  return {};
}

result<std::vector<std::string>> posix_disk::list() {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entry(folder_, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error) return fail(refusal(folder_, "list", error.value()));
  std::sort(names.begin(), names.end());
  return names;
}

status posix_disk::check_name(const std::string& name) const {
  const bool plain = !name.empty() && name != "." && name != ".." &&
                     name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
  if (plain) return {};
  return status(status_code::invalid_argument,
                text(folder_, ": '", name, "' is no name of a file in a folder"));
}

status posix_disk::refused(const std::string& name, const char* action, int error) const {
  return refusal(text(folder_, "/", name), action, error);
}

} // namespace troupe::storage
