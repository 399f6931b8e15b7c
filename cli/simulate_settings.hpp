// The settings that several simulate commands share.
#pragma once

#include "cli/settings.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {

// Which scenarios, and what is laid over them.
struct scenario_settings {
  std::vector<std::string> scenario;
  uint32_t nodes = 0;
  std::string strategy = "portfolio";
  uint32_t changes = 3;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "scenario",
           .value = "NAME",
           .help = "a built-in scenario, a file that ends in .toml, or all; may be repeated",
           .unset = "all"},
          scenario);
    visit({.name = "nodes",
           .value = "COUNT",
           .help = "nodes of the simulated cluster; voters and doors are no more than they",
           .range = {0, 64},
           .unset = "what the scenario says"},
          nodes);
    visit({.name = "strategy",
           .value = "NAME",
           .help = "how the next message is picked; a portfolio takes another one for each seed",
           .choices = "portfolio|fifo|random|pct|delay|overlap"},
          strategy);
    visit({.name = "changes",
           .value = "COUNT",
           .help = "drops of a priority (pct) or delays (delay) in a run",
           .range = {0, 1000}},
          changes);
  }
};

struct jobs_settings {
  uint32_t jobs = 0;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "jobs",
           .value = "COUNT",
           .help = "processes that run simulations at the same time; never changes a result",
           .range = {0, 1024},
           .aliases = "-j",
           .unset = "one per processor"},
          jobs);
  }
};

} // namespace troupe::cli
