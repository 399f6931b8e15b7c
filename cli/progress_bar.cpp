// Bar, percentage, speed and what is left.
#include "cli/progress_bar.hpp"

#include "base/text.hpp"
#include "cli/option_value.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace troupe::cli {
namespace {

constexpr duration redraw_interval = std::chrono::milliseconds(80);
constexpr size_t bar_columns_max = 40;
constexpr size_t bar_columns_min = 5;

double seconds(duration of) {
  return std::chrono::duration<double>(of).count();
}

std::string seconds_text(double value) {
  std::array<char, 32> out;
  std::snprintf(out.data(), out.size(), value < 10 ? "%.1f s" : "%.0f s", value);
  return out.data();
}

} // namespace

std::string progress_line(std::string_view what, const progress_state& state, size_t columns) {
  const double share = state.bytes_total == 0
                           ? 0
                           : std::min(1.0, double(state.bytes_done) / double(state.bytes_total));
  std::array<char, 8> percent;
  std::snprintf(percent.data(), percent.size(), " %3.0f%%", std::floor(share * 100));
  std::string tail = percent.data();
  const double elapsed = seconds(state.elapsed);
  if (elapsed > 0.5 && state.bytes_done > 0) {
    const double speed = double(state.bytes_done) / elapsed;
    const double left =
        double(state.bytes_total - std::min(state.bytes_done, state.bytes_total)) / speed;
    tail += text("  ", human_bytes(uint64_t(speed)), "/s, ", seconds_text(left), " left");
  }
  std::string line(what);
  const size_t used = line.size() + 3 + tail.size();
  if (columns >= used + bar_columns_min) {
    const size_t width = std::min(bar_columns_max, columns - used);
    const size_t full = size_t(share * double(width));
    line += text(" [", std::string(full, '#'), std::string(width - full, '-'), "]");
  }
  line += tail;
  return line.substr(0, columns);
}

progress_bar::progress_bar(std::string what, output& to, const clock& time)
    : what_(std::move(what)),
      to_(to),
      time_(time),
      begin_(time.now()),
      drawn_(begin_),
      is_terminal_(to.is_terminal()) {
  if (!is_terminal_) (void)to_.write(text(what_, "\n"));
}

void progress_bar::update(uint64_t bytes_done, uint64_t bytes_total) {
  const time_point now = time_.now();
  state_ = {bytes_done, bytes_total, now - begin_};
  if (!is_terminal_ || (visible_ && now - drawn_ < redraw_interval)) return;
  drawn_ = now;
  visible_ = true;
  // One column stays free, or terminals would wrap.
  (void)to_.write(text("\r", progress_line(what_, state_, to_.columns() - 1), "\x1b[K"));
}

void progress_bar::finish() {
  const double elapsed = seconds(time_.now() - begin_);
  clear();
  (void)to_.write(
      text("loaded ", human_bytes(state_.bytes_total), " in ", seconds_text(elapsed), "\n"));
}

void progress_bar::clear() {
  if (visible_) (void)to_.write("\r\x1b[K");
  visible_ = false;
}

} // namespace troupe::cli
