// What is published about the arrivals of real services, and the parameters with which our
// generator meets it. Published: measured from the public files (Azure LLM inference trace 2023;
// Mooncake conversation trace). The generator's own parameters were fitted here to those
// statistics.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations::capacity {

// A length distribution: share of requests at or below each length. Between two knots lengths are
// spread evenly on a logarithmic scale; equal lengths of two knots are an atom.
struct length_knot {
  double share = 0;
  double length = 1;
  bool published = false; // else ours, chosen so that the mean fits
};
using length_table = std::vector<length_knot>; // from share 0 to share 1, neither falling

double table_mean(const length_table& table);
// The length at which `share` of the requests is not longer; at least 1.
uint32_t length_at(const length_table& table, double share);

// Nothing where nothing is published.
struct published_statistics {
  double rate_per_s = 0;
  double span_s = 0;
  std::optional<double> gap_cv;
  std::optional<double> dispersion_1s, dispersion_10s, dispersion_60s;
  std::optional<double> autocorrelation_1s, autocorrelation_10s, autocorrelation_60s;
  std::optional<double> mean_input, mean_output;
  std::optional<double> correlation;     // of input and output length
  std::optional<double> prefix_hit_rate; // of block references, with a cache that forgets nothing
  std::optional<double> blocks_used_once;
};

struct arrival_shape {
  // The whole service is quiet at times; 0: never.
  double gate_on_s = 0, gate_off_s = 0;
  // Slow rate modulation: log-normal of this deviation and correlation time.
  double slow_deviation = 0, slow_tau_s = 300;
  // Clients with Zipf weights, each on and off by itself. Times run while the service is busy.
  uint32_t clients = 100;
  double client_on_s = 1, client_off_s = 1;
  uint32_t gamma_halves = 2; // shape of the gaps of one client, in halves; 2: exponential
};

struct session_shape {
  uint32_t block_tokens = 512;
  double follow_up_share = 0; // of requests that try to continue an earlier conversation; 0: none
  double one_shot_share = 0;  // of new conversations, that nobody continues
  uint32_t tries = 8;         // conversations looked at
  uint32_t recent_max = 512;  // that may be continued
  bool common_block = false;  // the first block is the same in all requests
};

struct trace_profile {
  std::string name;
  published_statistics published;
  arrival_shape arrivals;
  length_table input, output;
  double antithetic_share = 0; // of requests whose output is short where the input is long
  session_shape sessions;
};

result<trace_profile> trace_profile_named(std::string_view name);
std::vector<std::string> trace_profile_names();

} // namespace troupe::simulations::capacity
