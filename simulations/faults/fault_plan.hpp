// The faults of one run as data: printable, editable, replayable.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations {

// When: at a virtual time since the cluster stood, or the n-th time a probe is hit (by anybody).
struct fault_trigger {
  duration at{};
  std::string probe = {}; // empty: by time
  uint64_t nth = 1;
  friend bool operator==(const fault_trigger&, const fault_trigger&) = default;
};

struct fault {
  std::string id; // "F03", see catalogue.hpp
  fault_trigger when = {};
  uint32_t node = 0;                            // where; for links: from
  std::optional<uint32_t> peer = {};            // for links: to
  duration lasts{};                             // 0: for good, or has no length
  std::map<std::string, int64_t> settings = {}; // what the catalogue's entry names
  // Not empty: who it hits is found out when it happens, among those that play this role by then
  // (leader, sequencer, stage, shard, idle); `node` then picks one of them.
  std::string target = {};
  friend bool operator==(const fault&, const fault&) = default;
};

struct fault_plan {
  std::vector<fault> faults; // in order of their numbers, which are their places
  friend bool operator==(const fault_plan&, const fault_plan&) = default;
};

} // namespace troupe::simulations
