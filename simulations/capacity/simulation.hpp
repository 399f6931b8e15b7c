// A cluster under a trace, with failures: what its clients see.
#pragma once

#include "simulations/capacity/replica.hpp"

#include <functional>
#include <vector>

namespace troupe::simulations::capacity {

struct service_objective {
  double ttft_ms = 2000; // time to first token
  double tpot_ms = 100;  // time per further token
};

struct simulation_args {
  const system_plan& plan;
  const trace_profile& profile;
  const std::vector<trace_request>& trace;
  const std::vector<failure_event>& failures; // `node` counts over the whole cluster
  nanoseconds span = 60 * second_ns;          // of the trace
  nanoseconds warm_up = 6 * second_ns;        // its first part, not measured
  nanoseconds drain_max = 600 * second_ns;    // after it, to finish what has come
  service_objective objective;
  routing_options routing;
  recovery_options recovery;
  uint32_t switch_nodes = 32;
  bool prefix_cache = true;
  uint64_t seed = 1;
  // Called now and then with the virtual time; false ends the run early.
  std::function<bool(nanoseconds)> progress;
};

struct quantiles {
  double p50_ms = 0, p99_ms = 0;
};

struct run_result {
  // Requests that came within the measured part of the span.
  uint64_t requests = 0, done = 0, refused = 0, unfinished = 0, within_objective = 0;
  uint64_t touched = 0; // interrupted at least once
  double seconds = 0;   // measured
  double offered_per_s = 0, output_tokens_per_s = 0, input_tokens_per_s = 0;
  double goodput_per_s = 0; // output tokens of requests within the objective
  quantiles ttft, tpot;
  double kv_mean = 0, kv_peak = 0;     // share of the pages in use
  double busy_mean = 0, busy_most = 0; // share of the time that nodes work, however small the steps
  double load = 0;      // share of the capacity: the same tokens in the largest steps allowed
  batch_load full_step; // what such a step asks for
  double imbalance = 1; // of experts over devices
  double step_tokens = 0, step_ms = 0; // mean
  double prefix_hit_rate = 0;
  uint64_t steps = 0, preemptions = 0, events = 0;
  double served_share = 1; // of replica time in which steps ran
  bool cancelled = false;
  std::vector<recovery_record> recoveries;
  std::vector<request_record> records;
  // Over the whole run, in whole nanoseconds: by Little's law both are the same when all is done.
  nanoseconds presence_ns = 0; // integral of the number of requests in the system
  nanoseconds sojourn_ns = 0;  // sum of their times in it
  nanoseconds ended = 0;
};

run_result simulate(const simulation_args& args);

} // namespace troupe::simulations::capacity
