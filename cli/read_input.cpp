// read(2) in pieces.
#include "cli/read_input.hpp"

#include "base/text.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace troupe::cli {
namespace {

// Bytes read, 0 at the end, -1 on failure.
ssize_t read_some(int fd, std::string& into) {
  std::array<char, 65536> piece;
  ssize_t got = 0;
  do got = ::read(fd, piece.data(), piece.size());
  while (got < 0 && errno == EINTR);
  if (got > 0) into.append(piece.data(), static_cast<size_t>(got));
  return got;
}

} // namespace

result<std::string> read_all(int fd, size_t bytes_max) {
  std::string out;
  for (;;) {
    const ssize_t got = read_some(fd, out);
    if (got < 0)
      return fail(status_code::unavailable,
                  text("cannot read standard input: ", std::generic_category().message(errno)));
    if (out.size() > bytes_max)
      return fail(status_code::exhausted,
                  text("standard input has more than ", bytes_max, " bytes"));
    if (got == 0) return out;
  }
}

std::optional<std::string> line_reader::next() {
  for (;;) {
    if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      if (line.ends_with('\r')) line.pop_back();
      return line;
    }
    if (ended_ || buffer_.size() > input_bytes_max) {
      if (buffer_.empty()) return std::nullopt;
      return std::exchange(buffer_, {});
    }
    if (read_some(fd_, buffer_) <= 0) ended_ = true;
  }
}

} // namespace troupe::cli
