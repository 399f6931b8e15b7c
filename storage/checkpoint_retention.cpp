// From the newest to the oldest, until enough intact ones are found; then the exceptions.
#include "storage/checkpoint_retention.hpp"

#include <algorithm>

namespace troupe::storage {

std::vector<size_t> checkpoints_to_remove(std::span<const retained_checkpoint> list,
                                          const checkpoint_retention& rule) {
  size_t oldest_kept = list.size(), found = 0;
  while (oldest_kept > 0 && found < std::max<size_t>(rule.last, 1)) {
    --oldest_kept;
    if (list[oldest_kept].intact) ++found;
  }
  std::optional<size_t> best;
  for (size_t i = 0; i < list.size(); ++i) {
    const bool counts = list[i].intact && list[i].score.has_value();
    if (counts && (!best || *list[i].score <= *list[*best].score)) best = i;
  }
  std::vector<size_t> out;
  for (size_t i = 0; i < oldest_kept; ++i) {
    const bool periodic = rule.every > 0 && list[i].step % rule.every == 0 && list[i].intact;
    const bool is_best = rule.keep_best && best == i;
    if (!periodic && !is_best) out.push_back(i);
  }
  return out;
}

} // namespace troupe::storage
