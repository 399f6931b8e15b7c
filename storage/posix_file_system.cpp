// open, fstat, mmap and read, with every refusal turned into a status that names the path.
#include "storage/posix_file_system.hpp"

#include "base/text.hpp"
#include "storage/posix_descriptor.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace troupe::storage {
namespace {

class posix_mapped_file final : public mapped_file {
public:
  posix_mapped_file(void* data, size_t bytes) : data_(data), bytes_(bytes) {}
  posix_mapped_file(const posix_mapped_file&) = delete;
  posix_mapped_file& operator=(const posix_mapped_file&) = delete;
  ~posix_mapped_file() override {
    if (bytes_ > 0) ::munmap(data_, bytes_);
  }
  std::span<const std::byte> bytes() const override {
    return {static_cast<const std::byte*>(data_), bytes_};
  }

private:
  void* data_;
  size_t bytes_;
};

// Opens a regular file for reading and tells its size.
result<int> open_regular(const std::string& path, size_t& bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(refused_by_system(path, "open", errno));
  struct stat facts = {};
  status problem;
  if (::fstat(fd, &facts) != 0)
    problem = refused_by_system(path, "read its size", errno);
  else if (S_ISDIR(facts.st_mode))
    problem = status(status_code::invalid_argument, text(path, ": is a directory, not a file"));
  else if (!S_ISREG(facts.st_mode))
    problem = status(status_code::invalid_argument, text(path, ": is not a regular file"));
  if (!problem.ok()) {
    ::close(fd);
    return fail(problem);
  }
  bytes = static_cast<size_t>(facts.st_size);
  return fd;
}

} // namespace

result<std::unique_ptr<mapped_file>> posix_file_system::map(const std::string& path) const {
  size_t bytes = 0;
  const auto fd = open_regular(path, bytes);
  if (!fd) return fail(fd.error());
  const posix_descriptor file(*fd);
  if (bytes == 0) return std::make_unique<posix_mapped_file>(nullptr, 0);
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) return fail(refused_by_system(path, "map", errno));
  return std::make_unique<posix_mapped_file>(data, bytes);
}

result<std::string> posix_file_system::read_text(const std::string& path, size_t bytes_max) const {
  size_t bytes = 0;
  const auto fd = open_regular(path, bytes);
  if (!fd) return fail(fd.error());
  const posix_descriptor file(*fd);
  if (bytes > bytes_max)
    return fail(status_code::exhausted,
                text(path, ": has ", bytes, " bytes, more than the ", bytes_max, " allowed"));
  std::string content(bytes, '\0');
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got = ::read(file.get(), content.data() + done, bytes - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(refused_by_system(path, "read", errno));
    if (got == 0) break; // shortened while we read: what is there is the content
    done += static_cast<size_t>(got);
  }
  content.resize(done);
  return content;
}

bool posix_file_system::exists(const std::string& path) const {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

uint64_t posix_file_system::changed_at(const std::string& path) const {
  struct stat facts = {};
  if (::stat(path.c_str(), &facts) != 0) return 0;
  return static_cast<uint64_t>(facts.st_mtim.tv_sec) * 1'000'000'000u +
         static_cast<uint64_t>(facts.st_mtim.tv_nsec);
}

result<std::vector<std::string>> posix_file_system::list(const std::string& directory) const {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error) return fail(refused_by_system(directory, "list", error.value()));
  std::sort(names.begin(), names.end());
  return names;
}

} // namespace troupe::storage
