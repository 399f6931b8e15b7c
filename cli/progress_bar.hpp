// Shows how far loading has come: a bar that redraws itself on a terminal, two lines elsewhere.
#pragma once

#include "base/clock.hpp"
#include "cli/output.hpp"

#include <cstdint>
#include <string>

namespace troupe::cli {

struct progress_state {
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
  duration elapsed{};
};

// One line of at most `columns` columns, without its end: "loading tales [####----]  50%  6.0
// MiB/s, 1 s left".
std::string progress_line(std::string_view what, const progress_state& state, size_t columns);

class progress_bar {
public:
  // Draws at most some ten times a second. All three must outlive it.
  progress_bar(std::string what, output& to, const clock& time);

  void update(uint64_t bytes_done, uint64_t bytes_total);
  // Ends the line, or says how long it took. Not called after a failure: then clear() removes the
  // bar.
  void finish();
  void clear();

private:
  std::string what_;
  output& to_;
  const clock& time_;
  time_point begin_;
  time_point drawn_;
  progress_state state_;
  bool is_terminal_;
  bool visible_ = false;
};

} // namespace troupe::cli
