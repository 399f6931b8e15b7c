// How often what breaks and how long it stays broken, calibrated from published statistics; and the
// failures of one run, drawn from it.
#pragma once

#include "base/status.hpp"
#include "simulations/capacity/trace.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations::capacity {

enum class failure_kind : uint8_t {
  device,         // an accelerator is lost; its node says so
  node,           // a node falls silent
  software,       // a process ends; it is started again
  network_switch, // all nodes behind a switch fall silent
  slow_compute,
  slow_network,
};
std::string_view to_string(failure_kind kind);

struct failure_model {
  std::string name = "none";
  double per_1000_node_days = 0; // failures that take a node out of service
  double device_share = 268.0 / 419;
  double software_share = 54.0 / 419;
  double switch_share = 3.5 / 419;
  double hang_share = 0.12; // of all: nothing is reported, work merely stops
  double switch_nodes = 32;
  // 5 % and 95 % quantiles of log-normal times, in seconds.
  double restart_low_s = 5, restart_high_s = 60;
  double swap_low_s = 180, swap_high_s = 900;
  double repair_low_s = 3600, repair_high_s = 86400;
  double spares = 1; // 1: a broken node is swapped; 0: it waits for its repair
  double slow_per_1000_node_days = 0;
  double slow_compute_low = 1.1, slow_compute_high = 3, slow_compute_mean_s = 600;
  double slow_network_low = 1.5, slow_network_high = 4, slow_network_mean_s = 1440;

  double node_share() const { return 1 - device_share - software_share - switch_share; }
  double per_node_second() const { return per_1000_node_days / 1000 / 86400; }
};

struct failure_field {
  std::string_view name;
  double failure_model::*member;
  double least, most;
  std::string_view source;
};
std::span<const failure_field> failure_fields();

// none, tpu_v4 (0.8), llama3 (3.8), rsc1 (6.5), rsc1_large_jobs (23.7 per 1,000 node-days).
result<failure_model> failures_named(std::string_view name);
std::vector<std::string> failure_names();
status validate(const failure_model& model);

struct failure_event {
  nanoseconds at = 0;
  failure_kind kind = failure_kind::node;
  uint32_t node = 0; // a switch: the first of its nodes
  bool hang = false;
  nanoseconds lasts = 0; // until the node is back, or fast again
  double factor = 1;     // of slowness
};

// What one failure of this kind is like.
failure_event draw_failure(const failure_model& model, failure_kind kind, class draws& draw);

struct failure_draw_args {
  uint32_t nodes = 1;
  nanoseconds span = 0;
  double scale = 1; // times the calibrated rate
  uint64_t seed = 1;
};
// In order of time. A node's failures do not depend on how many other nodes there are.
std::vector<failure_event> draw_failures(const failure_model& model, const failure_draw_args& args);

} // namespace troupe::simulations::capacity
