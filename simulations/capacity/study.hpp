// One question to the model: this load on these machines with these failures. Everything a run
// needs, in one place.
#pragma once

#include "simulations/capacity/fidelity.hpp"
#include "simulations/capacity/simulation.hpp"

#include <functional>
#include <string>

namespace troupe::simulations::capacity {

struct study {
  plan_request system; // `nodes` and `copies` vary from candidate to candidate
  trace_profile profile;
  double rate_per_s = 1;
  nanoseconds span = 60 * second_ns;
  nanoseconds warm_up = 6 * second_ns;
  nanoseconds drain_max = 120 * second_ns;
  service_objective objective;
  double objective_share = 0.99; // of the requests that must be within it
  routing_options routing;
  recovery_options recovery;
  failure_model failures;
  double failure_scale = 0; // failures drawn into the measured run, times their rate; 0: none
  bool prefix_cache = true;
  uint64_t seed = 1;
  std::function<bool(nanoseconds)> progress; // as for simulation_args
};

struct outcome {
  system_plan plan;
  run_result result;
  bool meets(const study& of) const;
};

// The offered load on these nodes. Fails when the model does not fit, and with `cancelled`.
result<outcome> run_study(const study& of, uint32_t nodes, uint32_t copies);

// Share of the requests that were within the objective; 1 when there were none.
double share_within(const run_result& of);

} // namespace troupe::simulations::capacity
