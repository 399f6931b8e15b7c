// Looks at the open file and not at its name, so that nobody can swap it in between.
#include "cli/private_file.hpp"

#include "base/text.hpp"
#include "storage/posix_descriptor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace troupe::cli {
namespace {

constexpr mode_t owner_only = S_IRUSR | S_IWUSR;

status check_mode(const std::string& path, const struct stat& facts) {
  if (!S_ISREG(facts.st_mode))
    return status(status_code::invalid_argument, text(path, ": is not a regular file"));
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) == 0) return {};
  std::array<char, 8> mode;
  std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(facts.st_mode & 07777));
  return status(
      status_code::invalid_argument,
      text(path, ": has mode ", mode.data(), ", so that others can get at it; chmod 600 ", path));
}

} // namespace

result<std::string> read_private_file(const std::string& path, size_t bytes_max) {
  const storage::posix_descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return fail(storage::refused_by_system(path, "open", errno));
  struct stat facts = {};
  if (::fstat(file.get(), &facts) != 0)
    return fail(storage::refused_by_system(path, "read its mode", errno));
  if (auto s = check_mode(path, facts); !s.ok()) return fail(std::move(s));
  std::string out(bytes_max + 1, '\0');
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::read(file.get(), out.data() + done, out.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(storage::refused_by_system(path, "read", errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  if (done > bytes_max)
    return fail(status_code::invalid_argument,
                text(path, ": is larger than ", bytes_max, " bytes"));
  out.resize(done);
  return out;
}

status write_private_file(const std::string& path, std::string_view content) {
  const storage::posix_descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, owner_only));
  if (file.get() < 0) return storage::refused_by_system(path, "make", errno);
  while (!content.empty()) {
    const ssize_t put = ::write(file.get(), content.data(), content.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return storage::refused_by_system(path, "write", errno);
    content.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

} // namespace troupe::cli
