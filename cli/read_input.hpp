// Reading what people type or pipe.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <optional>
#include <string>

namespace troupe::cli {

inline constexpr size_t input_bytes_max = 64 << 20;

// Everything up to the end; `exhausted` beyond bytes_max.
result<std::string> read_all(int fd, size_t bytes_max);

// Line by line without buffering beyond what was read. One thread at a time.
class line_reader {
public:
  explicit line_reader(int fd) : fd_(fd) {}
  // Without its line end; nothing at the end of the input.
  std::optional<std::string> next();

private:
  int fd_;
  std::string buffer_;
  bool ended_ = false;
};

} // namespace troupe::cli
