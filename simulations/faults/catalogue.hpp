// Every fault the project knows by number: what it does, what can be set, and whether this build
// can inject it. The numbers are fixed; F14 to F19 and the like are free.
#pragma once

#include "base/clock.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations {

struct fault_setting {
  std::string_view name;     // units last: "restart_after_ms"
  int64_t least, most;       // what is drawn when a scenario says nothing
  int64_t allowed_least = 0; // what a plan may say …
  int64_t allowed_most = 0;  // … 0: a million
  std::string_view about = "";
};

// What a fault is aimed at, and so which of node and peer mean something.
enum class fault_scope : uint8_t {
  node,    // one node
  links,   // links between nodes; setting `scope` says which
  pair,    // node and peer
  split,   // two groups of nodes; setting `mask` has the bits of one
  cluster, // nobody in particular: clients
};

struct fault_entry {
  std::string_view id;     // "F03"
  std::string_view family; // process, network, device, storage, clock, coordinator, correlated
  std::string_view name;
  std::string_view about;        // one line
  std::string_view not_yet = ""; // why this build cannot inject it; empty: it can
  fault_scope scope = fault_scope::node;
  duration lasts_least{}, lasts_most{}; // what is drawn; 0 .. 0: it has no length
  std::vector<fault_setting> settings = {};
  std::string_view target = "any"; // when an antagonist says "any"
  std::string_view probes = "";    // comma separated: drawn when an antagonist names neither

  bool implemented() const { return not_yet.empty(); }
  const fault_setting* setting(std::string_view setting_name) const;
};

// In order of their ids.
const std::vector<fault_entry>& fault_catalogue();
const fault_entry* find_fault(std::string_view id); // nullptr: there is none

// Settings `scope` of the faults of links.
enum class link_scope : int64_t {
  one_way = 0, // node to peer
  two_way = 1, // and back
  node = 2,    // everything to and from node
  cluster = 3, // every link
};

} // namespace troupe::simulations
