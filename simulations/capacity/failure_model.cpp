// Rates by case; shares by the counts of the Llama 3 report.
#include "simulations/capacity/failure_model.hpp"

#include "base/text.hpp"
#include "simulations/capacity/fixed_math.hpp"

#include <algorithm>
#include <array>
#include <tuple>

namespace troupe::simulations::capacity {
namespace {

using m = failure_model;

constexpr std::string_view llama = "Llama 3 (arXiv 2407.21783), 419 unexpected interruptions";
constexpr std::string_view falcon = "FALCON (ATC 25)";
constexpr std::string_view assumed = "assumption";

constexpr std::array<failure_field, 20> fields = {{
    {"per_1000_node_days", &m::per_1000_node_days, 0, 1e6, "the named case"},
    {"device_share", &m::device_share, 0, 1, llama},
    {"software_share", &m::software_share, 0, 1, llama},
    {"switch_share", &m::switch_share, 0, 1,
     "a tenth of Llama 3's 35 switches and cables: assumption"},
    {"hang_share", &m::hang_share, 0, 1,
     "ByteRobust (SOSP 25): 5,948 of 49,212 failures are silent"},
    {"switch_nodes", &m::switch_nodes, 1, 4096, assumed},
    {"restart_low_s", &m::restart_low_s, 1e-3, 1e7, assumed},
    {"restart_high_s", &m::restart_high_s, 1e-3, 1e7, assumed},
    {"swap_low_s", &m::swap_low_s, 1e-3, 1e7, "MegaScale (NSDI 24): below 10 min; range assumed"},
    {"swap_high_s", &m::swap_high_s, 1e-3, 1e7, "MegaScale (NSDI 24): below 10 min; range assumed"},
    {"repair_low_s", &m::repair_low_s, 1e-3, 1e8, assumed},
    {"repair_high_s", &m::repair_high_s, 1e-3, 1e8, assumed},
    {"spares", &m::spares, 0, 1, assumed},
    {"slow_per_1000_node_days", &m::slow_per_1000_node_days, 0, 1e6,
     "as many as failures: assumption"},
    {"slow_compute_low", &m::slow_compute_low, 1, 1000, assumed},
    {"slow_compute_high", &m::slow_compute_high, 1, 1000, assumed},
    {"slow_compute_mean_s", &m::slow_compute_mean_s, 1e-3, 1e7, falcon},
    {"slow_network_low", &m::slow_network_low, 1, 1000, assumed},
    {"slow_network_high", &m::slow_network_high, 1, 1000, assumed},
    {"slow_network_mean_s", &m::slow_network_mean_s, 1e-3, 1e7, falcon},
}};

constexpr std::array<std::pair<std::string_view, double>, 5> cases = {{
    {"none", 0},
    {"tpu_v4", 0.8},           // machines 0.08 % a day (NSDI 24)
    {"llama3", 3.8},           // 419 in 54 days on 16,384 GPUs
    {"rsc1", 6.5},             // Meta RSC-1 (HPCA 25), all jobs
    {"rsc1_large_jobs", 23.7}, // the same cluster, from its jobs of 1,024 GPUs
}};

constexpr std::array<std::string_view, 6> kind_names = {"device", "node",         "software",
                                                        "switch", "slow compute", "slow network"};

nanoseconds as_ns(double seconds) {
  return static_cast<nanoseconds>(seconds * 1e9);
}

failure_kind draw_kind(const failure_model& model, draws& draw) {
  double u = draw.unit();
  if ((u -= model.device_share) < 0) return failure_kind::device;
  if ((u -= model.software_share) < 0) return failure_kind::software;
  if ((u -= model.switch_share) < 0) return failure_kind::network_switch;
  return failure_kind::node;
}

} // namespace

std::string_view to_string(failure_kind kind) {
  return kind_names[static_cast<size_t>(kind)];
}

std::span<const failure_field> failure_fields() {
  return fields;
}

std::vector<std::string> failure_names() {
  std::vector<std::string> out;
  for (const auto& each : cases) out.emplace_back(each.first);
  return out;
}

result<failure_model> failures_named(std::string_view name) {
  for (const auto& [known, rate] : cases) {
    if (known != name) continue;
    failure_model out;
    out.name = known;
    out.per_1000_node_days = rate;
    out.slow_per_1000_node_days = rate;
    return out;
  }
  const std::string near = nearest_name(name, failure_names());
  return fail(status_code::invalid_argument,
              text("'", name,
                   "' is no failure case; there are none, tpu_v4, llama3, rsc1 and "
                   "rsc1_large_jobs",
                   near.empty() ? "" : text("; did you mean ", near, "?")));
}

status validate(const failure_model& model) {
  for (const auto& field : fields) {
    const double value = model.*field.member;
    if (!(value >= field.least && value <= field.most))
      return {status_code::invalid_argument,
              text("failures.", field.name, " is ", value, "; it must be from ", field.least,
                   " to ", field.most)};
  }
  if (model.node_share() < -1e-9)
    return {status_code::invalid_argument,
            "failures: device_share, software_share and switch_share are more than 1 together"};
  const auto ordered = [](std::string_view name, double low, double high) -> status {
    if (low <= high) return {};
    return {status_code::invalid_argument,
            text("failures: ", name, "_low_s is above ", name, "_high_s")};
  };
  TROUPE_RETURN_IF_ERROR(ordered("restart", model.restart_low_s, model.restart_high_s));
  TROUPE_RETURN_IF_ERROR(ordered("swap", model.swap_low_s, model.swap_high_s));
  TROUPE_RETURN_IF_ERROR(ordered("repair", model.repair_low_s, model.repair_high_s));
  TROUPE_RETURN_IF_ERROR(ordered("slow_compute", model.slow_compute_low, model.slow_compute_high));
  return ordered("slow_network", model.slow_network_low, model.slow_network_high);
}

failure_event draw_failure(const failure_model& model, failure_kind kind, draws& draw) {
  failure_event out;
  out.kind = kind;
  const bool slow = kind == failure_kind::slow_compute || kind == failure_kind::slow_network;
  if (!slow) out.hang = kind != failure_kind::network_switch && draw.chance(model.hang_share);
  switch (kind) {
    case failure_kind::slow_compute:
      out.factor = draw.log_normal(model.slow_compute_low, model.slow_compute_high);
      out.lasts = as_ns(draw.expovariate(model.slow_compute_mean_s));
      break;
    case failure_kind::slow_network:
      out.factor = draw.log_normal(model.slow_network_low, model.slow_network_high);
      out.lasts = as_ns(draw.expovariate(model.slow_network_mean_s));
      break;
    case failure_kind::software:
      out.lasts = as_ns(draw.log_normal(model.restart_low_s, model.restart_high_s));
      break;
    default:
      out.lasts =
          as_ns(model.spares > 0 ? draw.log_normal(model.swap_low_s, model.swap_high_s)
                                 : draw.log_normal(model.repair_low_s, model.repair_high_s));
  }
  out.factor = std::max(out.factor, 1.0);
  return out;
}

std::vector<failure_event> draw_failures(const failure_model& model,
                                         const failure_draw_args& args) {
  std::vector<failure_event> out;
  const double rate = model.per_node_second() * args.scale;
  const double slow_rate = model.slow_per_1000_node_days / 1000 / 86400 * args.scale;
  for (uint32_t node = 0; node < args.nodes; ++node) {
    draws draw(args.seed, random_subsystem::faults, node);
    if (rate + slow_rate <= 0) continue;
    for (double at = draw.expovariate(1 / (rate + slow_rate)); as_ns(at) < args.span;
         at += draw.expovariate(1 / (rate + slow_rate))) {
      const bool slow = draw.unit() * (rate + slow_rate) >= rate;
      const auto kind = !slow              ? draw_kind(model, draw)
                        : draw.chance(0.5) ? failure_kind::slow_compute
                                           : failure_kind::slow_network;
      auto event = draw_failure(model, kind, draw);
      event.at = as_ns(at);
      event.node = node;
      if (kind == failure_kind::network_switch)
        event.node -= node % static_cast<uint32_t>(model.switch_nodes);
      out.push_back(event);
    }
  }
  std::sort(out.begin(), out.end(), [](const failure_event& a, const failure_event& b) {
    return std::tie(a.at, a.node, a.kind) < std::tie(b.at, b.node, b.kind);
  });
  return out;
}

} // namespace troupe::simulations::capacity
