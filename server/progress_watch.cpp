// The wait begins at the first look that sees work.
#include "server/progress_watch.hpp"

namespace troupe::server {

progress_watch::reading progress_watch::look(uint64_t open, uint64_t moved, time_point now) {
  const std::lock_guard lock(mutex_);
  const bool begun = !working_ || moved != moved_;
  working_ = open > 0;
  moved_ = moved;
  if (begun || !working_) changed_ = now;
  if (!working_) return {verdict::idle, {}};
  if (begun) return {verdict::moving, {}};
  const duration still = now - changed_;
  return {still < patience_ ? verdict::waiting : verdict::stalled, still};
}

} // namespace troupe::server
