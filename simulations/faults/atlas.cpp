// Counts voters, doors and nodes that are left.
#include "simulations/faults/atlas.hpp"

#include <algorithm>

namespace troupe::simulations {

atlas::atlas(const atlas_options& options) : options_(options) {}

bool atlas::enough_without(const std::set<uint32_t>& gone,
                           const std::set<uint32_t>& forgetful) const {
  uint32_t voters = 0, doors = 0;
  const uint32_t doors_all = options_.doors == 0 ? options_.nodes : options_.doors;
  for (uint32_t node = 0; node < options_.nodes; ++node) {
    if (gone.contains(node)) continue;
    if (node < doors_all) ++doors;
    if (node < options_.voters && !forgetful.contains(node)) ++voters;
  }
  return voters >= options_.voters / 2 + 1 && doors > 0;
}

bool atlas::allow_gone(const std::vector<uint32_t>& nodes) {
  std::set<uint32_t> gone = gone_;
  gone.insert(nodes.begin(), nodes.end());
  if (options_.survivable && !enough_without(gone, forgetful_)) return false;
  gone_ = std::move(gone);
  return true;
}

bool atlas::allow_memory_loss(uint32_t node, const std::vector<bool>& at_work) {
  if (node >= options_.voters || !options_.survivable) return true;
  for (uint32_t other = 0; other < options_.voters; ++other)
    if (other != node && !gone_.contains(other) && !(other < at_work.size() && at_work[other]))
      return false;
  std::set<uint32_t> forgetful = forgetful_;
  forgetful.insert(node);
  if (!enough_without(gone_, forgetful)) return false;
  forgetful_ = std::move(forgetful);
  return true;
}

void atlas::note_lies(uint32_t node) {
  liars_.insert(node);
}

crash_fate atlas::soften(uint32_t node, crash_fate wanted) const {
  const bool matters = options_.survivable && node < options_.voters && liars_.contains(node);
  return matters ? crash_fate::keep_all : wanted;
}

} // namespace troupe::simulations
