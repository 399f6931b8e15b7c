// Writing to a file descriptor at once and noticing when nobody reads it or it is full.
#pragma once

#include "base/status.hpp"

#include <string_view>

namespace troupe::cli {

// Unbuffered: what is written has left the process. One thread at a time.
class output {
public:
  explicit output(int fd, std::string_view name) : fd_(fd), name_(name) {}

  // `cancelled` when the reader went away or the descriptor is closed, `unavailable` when the
  // system refuses (for example a full disk). After a failure nothing more is written.
  status write(std::string_view bytes);
  const status& failure() const { return failure_; }
  bool is_terminal() const;
  // Columns of the terminal; 80 when it does not say.
  size_t columns() const;

private:
  int fd_;
  std::string_view name_; // for messages: "standard output"
  status failure_;
};

// Standard descriptors that were closed by whoever started us are opened on /dev/null, so that no
// file of ours becomes standard output. True for each that was closed.
struct closed_descriptors {
  bool input = false, output = false, error = false;
};
closed_descriptors keep_standard_descriptors();

} // namespace troupe::cli
