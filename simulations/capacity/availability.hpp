// What failures cost at their real rate. Hours of simulated traffic see none, so each kind is
// studied by itself: runs that begin shortly before one failure and end when all has recovered,
// beside the same runs without it. The mean cost times the rate is the expected loss.
//
// A few replicas stand for the cluster, each under its share of the load. Two things are worked out
// instead of simulated, because they outlast the runs: waiting for a node without which the model
// does not fit, and the return of the node.
#pragma once

#include "simulations/capacity/study.hpp"

#include <vector>

namespace troupe::simulations::capacity {

struct availability_options {
  uint32_t samples = 4; // failures of each kind
  uint32_t replicas_max = 3;
  nanoseconds before = 20 * second_ns;
  nanoseconds after = 90 * second_ns;
};

struct sample_statistics {
  double sum = 0, squares = 0;
  uint32_t count = 0;
  void add(double value);
  double mean() const;
  double variance_of_mean() const; // 0 below two samples
};

// Failures of one kind, in seconds of one replica.
struct failure_class {
  failure_kind kind = failure_kind::node;
  bool hang = false;
  double share = 0;        // of all failures
  double replicas_hit = 1; // by one of them
  sample_statistics detect, decide, restore, down, refill, rejoin;
  sample_statistics stopped;    // all but refill: no steps run
  sample_statistics lost;       // goodput, as seconds of the whole cluster's
  sample_statistics degraded;   // the same, while the node is away: by capacity
  double recomputed_tokens = 0; // mean
  uint32_t unrecovered = 0;     // runs that ended before every stream went on
};

struct estimate {
  double value = 1, low = 1, high = 1; // 95 % interval
};

struct availability_result {
  double failures_per_day = 0; // of the cluster
  std::vector<failure_class> classes;
  estimate served;     // share of replica time in which steps run
  estimate goodput;    // share of the goodput that remains
  estimate recovery_s; // from a failure until steps run again, mean over failures
};

// Fails as run_study does.
result<availability_result> estimate_availability(const study& of, uint32_t nodes, uint32_t copies,
                                                  const availability_options& options);

} // namespace troupe::simulations::capacity
