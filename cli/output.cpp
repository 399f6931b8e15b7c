// write(2) until all is written.
#include "cli/output.hpp"

#include "base/text.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace troupe::cli {
namespace {

bool open_if_closed(int fd, int flags) {
  if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) return false;
  // The lowest free descriptor is the missing one, as they are checked in order.
  const int opened = ::open("/dev/null", flags);
  return opened == fd;
}

} // namespace

status output::write(std::string_view bytes) {
  if (!failure_.ok()) return failure_;
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd_, bytes.data(), bytes.size());
    if (done >= 0) {
      bytes.remove_prefix(static_cast<size_t>(done));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) { // a terminal somebody made non-blocking
      pollfd wait = {fd_, POLLOUT, 0};
      ::poll(&wait, 1, -1);
      continue;
    }
    const auto code =
        errno == EPIPE || errno == EBADF ? status_code::cancelled : status_code::unavailable;
    failure_ =
        status(code, text("cannot write to ", name_, ": ", std::generic_category().message(errno)));
    return failure_;
  }
  return {};
}

bool output::is_terminal() const {
  return ::isatty(fd_) == 1;
}

size_t output::columns() const {
  winsize size = {};
  if (::ioctl(fd_, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

closed_descriptors keep_standard_descriptors() {
  closed_descriptors out;
  out.input = open_if_closed(0, O_RDONLY);
  out.output = open_if_closed(1, O_WRONLY);
  out.error = open_if_closed(2, O_WRONLY);
  return out;
}

} // namespace troupe::cli
