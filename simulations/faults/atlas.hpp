// What is left: keeps a plan from destroying what nothing could be rebuilt from. Weights are on
// every disk, keys and values can be computed again, and clients keep their requests; the votes of
// the register are what must not be lost, and somebody has to stay who can serve.
#pragma once

#include "simulations/seams/simulated_disk.hpp"

#include <cstdint>
#include <set>
#include <vector>

namespace troupe::simulations {

struct atlas_options {
  uint32_t nodes = 1;
  uint32_t voters = 1;
  uint32_t doors = 0;     // 0: all
  bool survivable = true; // false: everything is allowed
};

class atlas {
public:
  explicit atlas(const atlas_options& options);

  // Nodes that end, or are cut off, without an end of the fault: allowed as long as without them
  // and without the voters that have lost their memory a majority of the voters, a node that can
  // serve and a door are left. Remembered when allowed.
  bool allow_gone(const std::vector<uint32_t>& nodes);

  // A disk that is wiped or damaged. A voter's: allowed for a minority of the voters in a whole run
  // (gone ones included), and while all other voters are at work, which it can ask.
  bool allow_memory_loss(uint32_t node, const std::vector<bool>& at_work);

  // The node's disk says synced and is not. A voter with such a disk must not lose power from then
  // on: no agreement survives forgotten promises of voters that do not know that they forgot.
  void note_lies(uint32_t node);
  // What may be left of the node's bytes when it ends.
  crash_fate soften(uint32_t node, crash_fate wanted) const;

  std::vector<uint32_t> forgetful() const { return {forgetful_.begin(), forgetful_.end()}; }

private:
  bool enough_without(const std::set<uint32_t>& gone, const std::set<uint32_t>& forgetful) const;

  atlas_options options_;
  std::set<uint32_t> gone_;
  std::set<uint32_t> forgetful_; // voters whose memory was lost once
  std::set<uint32_t> liars_;
};

} // namespace troupe::simulations
