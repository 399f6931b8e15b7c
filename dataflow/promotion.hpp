// What a version of the weights must show before it answers everybody: the gate it passes before it
// may be promoted, and the share of requests it then answers first. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::dataflow {

// ---- the gate: text that was held out ----

struct domain_figure {
  std::string domain;
  double bits_per_byte = 0;
};

// A version as its training measured it.
struct version_figures {
  std::vector<domain_figure> held_out;
  double imbalance = 0; // of its experts, the worst layer's: largest load over mean load, minus one
  bool weights_finite = true;
};

struct gate_limits {
  double epsilon = 0.01;    // bits per byte a domain may lose
  double imbalance_max = 0; // 0: any
};

// Why the candidate may not be promoted, in words; empty: it may. A domain that only the parent has
// was not measured, and that is a reason; one that only the candidate has is new, and fine.
std::vector<std::string> gate(const version_figures& parent, const version_figures& candidate,
                              const gate_limits& limits);

// ---- the canary: a share of what is asked ----

struct canary_limits {
  uint32_t percent = 0;       // of the requests; 0: there is no canary
  uint64_t answers_min = 100; // that must have come to a good end
};

// Whether this request is among the share. The same request is, or is not, with every server, and
// what is among 5 % is among 10 %.
bool in_canary(std::string_view request_id, uint32_t percent);

struct canary_counts {
  uint64_t answered = 0; // to a good end
  uint64_t failed = 0;   // by the version's own doing: no valid number came out, or no step
};

enum class canary_verdict : uint8_t { watching, passed, failed };

// One failure is one too many: a version that fails where its parent did not is not better.
canary_verdict judge(const canary_counts& counts, const canary_limits& limits);

} // namespace troupe::dataflow
