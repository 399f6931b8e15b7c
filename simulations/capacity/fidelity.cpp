// Plain statistics.
#include "simulations/capacity/fidelity.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::simulations::capacity {
namespace {

constexpr double distance_max = 0.05;
constexpr double relative_max = 0.15;
constexpr double reference_requests = 400'000;

class report_builder {
public:
  explicit report_builder(fidelity_report& out) : out_(out) {}
  void distance(std::string what, double value) {
    out_.rows.push_back({std::move(what), 0.0, value, value < distance_max});
  }
  void near(std::string what, std::optional<double> published, double value) {
    const bool fits =
        published && std::abs(value - *published) <= relative_max * std::abs(*published);
    out_.rows.push_back({std::move(what), published, value, fits});
  }
  void correlation(std::string what, std::optional<double> published, double value) {
    const bool fits = published && std::abs(value - *published) <= distance_max;
    out_.rows.push_back({std::move(what), published, value, fits});
  }

private:
  fidelity_report& out_;
};

std::vector<uint32_t> lengths_of(std::span<const trace_request> requests,
                                 uint32_t trace_request::*member) {
  std::vector<uint32_t> out;
  out.reserve(requests.size());
  for (const auto& each : requests) out.push_back(each.*member);
  return out;
}

void add_lengths(report_builder& rows, std::string_view name, const length_table& table,
                 std::optional<double> mean, std::vector<uint32_t> lengths) {
  std::sort(lengths.begin(), lengths.end());
  double sum = 0;
  for (const uint32_t length : lengths) sum += length;
  const auto count = static_cast<double>(lengths.size());
  for (const double share : {0.1, 0.5, 0.9, 0.99}) {
    const auto at = static_cast<size_t>(share * (count - 1) + 0.5);
    std::optional<double> published;
    for (const auto& knot : table)
      if (knot.published && knot.share == share) published = knot.length;
    rows.near(text(name, " tokens p", static_cast<int>(share * 100 + 0.5)), published, lengths[at]);
  }
  rows.near(text(name, " tokens mean"), mean, sum / count);
  rows.distance(text(name, " quantile distance"), quantile_distance(table, std::move(lengths)));
}

} // namespace

uint32_t fidelity_report::accepted() const {
  return static_cast<uint32_t>(
      std::count_if(rows.begin(), rows.end(), [](const auto& row) { return row.accepted; }));
}

uint32_t fidelity_report::compared() const {
  return static_cast<uint32_t>(std::count_if(
      rows.begin(), rows.end(), [](const auto& row) { return row.published.has_value(); }));
}

double quantile_distance(const length_table& table, std::vector<uint32_t> lengths) {
  std::sort(lengths.begin(), lengths.end());
  double worst = 0;
  const auto count = static_cast<double>(lengths.size());
  for (const auto& knot : table) {
    if (!knot.published) continue;
    const auto length = static_cast<uint32_t>(knot.length);
    const auto below = std::lower_bound(lengths.begin(), lengths.end(), length) - lengths.begin();
    const auto upto = std::upper_bound(lengths.begin(), lengths.end(), length) - lengths.begin();
    // An atom covers every share between the two.
    worst = std::max(worst, static_cast<double>(below) / count - knot.share);
    worst = std::max(worst, knot.share - static_cast<double>(upto) / count);
  }
  return worst;
}

count_statistics count_windows(std::span<const trace_request> requests, double span_s,
                               double window_s) {
  const auto windows = static_cast<size_t>(span_s / window_s);
  if (windows < 3) return {};
  std::vector<double> counts(windows, 0.0);
  for (const auto& each : requests) {
    const auto at = static_cast<size_t>(static_cast<double>(each.arrives) / second_ns / window_s);
    if (at < windows) counts[at] += 1;
  }
  double mean = 0;
  for (const double count : counts) mean += count;
  mean /= static_cast<double>(windows);
  double square = 0, lagged = 0;
  for (size_t n = 0; n < windows; ++n) {
    square += (counts[n] - mean) * (counts[n] - mean);
    if (n > 0) lagged += (counts[n] - mean) * (counts[n - 1] - mean);
  }
  if (mean <= 0 || square <= 0) return {};
  return {square / static_cast<double>(windows - 1) / mean, lagged / square};
}

double gap_cv(std::span<const trace_request> requests) {
  if (requests.size() < 3) return 0;
  double sum = 0, squares = 0;
  for (size_t n = 1; n < requests.size(); ++n) {
    const auto gap = static_cast<double>(requests[n].arrives - requests[n - 1].arrives) / second_ns;
    sum += gap;
    squares += gap * gap;
  }
  const auto count = static_cast<double>(requests.size() - 1);
  const double mean = sum / count;
  const double variance = std::max(0.0, squares / count - mean * mean);
  return mean > 0 ? std::sqrt(variance) / mean : 0;
}

double length_correlation(std::span<const trace_request> requests) {
  double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  for (const auto& each : requests) {
    const double a = each.input, b = each.output;
    x += a;
    y += b;
    xx += a * a;
    yy += b * b;
    xy += a * b;
  }
  const auto n = static_cast<double>(requests.size());
  const double below = (xx - x * x / n) * (yy - y * y / n);
  return below > 0 ? (xy - x * y / n) / std::sqrt(below) : 0;
}

prefix_statistics prefix_of(const session_shape& shape, std::span<const trace_request> requests) {
  std::vector<uint64_t> full;
  uint64_t partial = 0; // a block that is not full is nobody else's
  for (const auto& each : requests) {
    const uint32_t blocks = each.input / shape.block_tokens;
    for (uint32_t n = 0; n < blocks; ++n) full.push_back(block_id(shape, each, n));
    if (each.input % shape.block_tokens != 0) ++partial;
  }
  std::sort(full.begin(), full.end());
  uint64_t distinct = partial, once = partial;
  for (size_t n = 0; n < full.size();) {
    size_t end = n;
    while (end < full.size() && full[end] == full[n]) ++end;
    ++distinct;
    if (end - n == 1) ++once;
    n = end;
  }
  const auto references = static_cast<double>(full.size() + partial);
  if (references <= 0) return {};
  return {1 - static_cast<double>(distinct) / references,
          static_cast<double>(once) / static_cast<double>(distinct)};
}

fidelity_report measure_fidelity(const trace_profile& profile,
                                 std::span<const trace_request> requests, double span_s) {
  fidelity_report out;
  out.requests = requests.size();
  out.span_s = span_s;
  if (requests.empty()) return out;
  report_builder rows(out);
  const auto& published = profile.published;
  rows.near("requests/s", published.rate_per_s, static_cast<double>(requests.size()) / span_s);
  add_lengths(rows, "input", profile.input, published.mean_input,
              lengths_of(requests, &trace_request::input));
  add_lengths(rows, "output", profile.output, published.mean_output,
              lengths_of(requests, &trace_request::output));
  rows.correlation("input-output correlation", published.correlation, length_correlation(requests));
  rows.near("gap CV", published.gap_cv, gap_cv(requests));
  const auto second = count_windows(requests, span_s, 1);
  const auto ten = count_windows(requests, span_s, 10);
  const auto minute = count_windows(requests, span_s, 60);
  rows.near("dispersion 1 s", published.dispersion_1s, second.dispersion);
  rows.near("dispersion 10 s", published.dispersion_10s, ten.dispersion);
  rows.near("dispersion 60 s", published.dispersion_60s, minute.dispersion);
  rows.near("autocorrelation 1 s", published.autocorrelation_1s, second.autocorrelation);
  rows.near("autocorrelation 10 s", published.autocorrelation_10s, ten.autocorrelation);
  rows.near("autocorrelation 60 s", published.autocorrelation_60s, minute.autocorrelation);
  const auto prefix = prefix_of(profile.sessions, requests);
  rows.near("prefix hit rate", published.prefix_hit_rate, prefix.hit_rate);
  rows.near("blocks used once", published.blocks_used_once, prefix.used_once);
  return out;
}

fidelity_report reference_fidelity(const trace_profile& profile, uint64_t seed) {
  const auto spanning = [&](double span_s) {
    const auto span = static_cast<nanoseconds>(span_s * second_ns);
    return generate_trace(profile, {.load = 1, .span = span, .seed = seed});
  };
  const double long_span_s = reference_requests / profile.published.rate_per_s;
  auto out = measure_fidelity(profile, spanning(long_span_s), long_span_s);
  if (!profile.published.prefix_hit_rate) return out;
  const auto shorter =
      measure_fidelity(profile, spanning(profile.published.span_s), profile.published.span_s);
  for (size_t n = 0; n < out.rows.size(); ++n)
    if (out.rows[n].what == "prefix hit rate" || out.rows[n].what == "blocks used once")
      out.rows[n] = shorter.rows[n];
  return out;
}

} // namespace troupe::simulations::capacity
