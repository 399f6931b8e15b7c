// How near the generated requests come to what is published about the real ones.
#pragma once

#include "simulations/capacity/trace.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe::simulations::capacity {

struct fidelity_row {
  std::string what;
  std::optional<double> published; // nothing: nothing to compare with
  double generated = 0;
  bool accepted = false; // always false without a published number
};

struct fidelity_report {
  uint64_t requests = 0;
  double span_s = 0;
  std::vector<fidelity_row> rows;
  uint32_t accepted() const;
  uint32_t compared() const;
};

// Largest difference between the share of `lengths` at or below a published length and the
// published share.
double quantile_distance(const length_table& table, std::vector<uint32_t> lengths);

// Variance over mean of the counts in windows of so many seconds, and their correlation with the
// window before.
struct count_statistics {
  double dispersion = 0;
  double autocorrelation = 0;
};
count_statistics count_windows(std::span<const trace_request> requests, double span_s,
                               double window_s);
double gap_cv(std::span<const trace_request> requests);
double length_correlation(std::span<const trace_request> requests);

struct prefix_statistics {
  double hit_rate = 0;  // references to a block that was referred to before
  double used_once = 0; // of all different blocks
};
prefix_statistics prefix_of(const session_shape& shape, std::span<const trace_request> requests);

// Accepted: length distributions within 0.05, correlation within 0.05, everything else within 15 %.
fidelity_report measure_fidelity(const trace_profile& profile,
                                 std::span<const trace_request> requests, double span_s);

// The generator at the published rate, over enough time that chance hardly matters (counts), and
// over the published span (prefixes, whose statistics depend on it).
fidelity_report reference_fidelity(const trace_profile& profile, uint64_t seed);

} // namespace troupe::simulations::capacity
