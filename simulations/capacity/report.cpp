// The tables on standard output.
#include "simulations/capacity/report.hpp"

#include "base/text.hpp"

#include <array>
#include <cstdio>

namespace troupe::simulations::capacity {
namespace {

template <class... Values>
std::string line(const char* format, Values... values) {
  std::array<char, 256> out;
  const int length = std::snprintf(out.data(), out.size(), format, values...);
  return std::string(out.data(), std::min<size_t>(static_cast<size_t>(length), out.size() - 1));
}

std::string percent(double share, int digits = 1) {
  return line("%.*f %%", digits, share * 100);
}

std::string heading(const report& what) {
  const auto& of = what.of;
  const auto& model = of.system.model;
  std::string out =
      line("model     %s: %.1f B parameters, %.1f B active, %.0f bytes of KV a token\n",
           model.name.c_str(), model.params() / 1e9, model.active_params() / 1e9,
           model.kv_bytes_per_token());
  out += line("machines  %s, %u devices a node\n", of.system.device.name.c_str(),
              of.system.device.devices());
  out += line("load      %s, %.2f requests/s for %.0f s, seed %llu; %.0f s of it not measured\n",
              of.profile.name.c_str(), of.rate_per_s, double(of.span) / 1e9,
              static_cast<unsigned long long>(of.seed), double(of.warm_up) / 1e9);
  out += line(
      "objective first token within %.0f ms, further tokens %.0f ms each, for %s of the "
      "requests\n",
      of.objective.ttft_ms, of.objective.tpot_ms, percent(of.objective_share).c_str());
  out += line("failures  %s: %.2f per 1,000 node-days", of.failures.name.c_str(),
              of.failures.per_1000_node_days);
  if (of.failure_scale > 0) out += line("; in the measured run, times %.0f", of.failure_scale);
  return out + "\n";
}

void add_result(std::string& out, uint32_t nodes, uint32_t copies, uint32_t replicas,
                const run_result& r, bool meets) {
  out += line("%5u %6u %8u %9.1f %6.1f%% %4s %9.0f %8.0f %8.0f %7.1f %7.1f %5.1f%% %5.0f%% %5.2f\n",
              nodes, copies, replicas, r.offered_per_s, share_within(r) * 100, meets ? "yes" : "no",
              r.goodput_per_s, r.ttft.p50_ms, r.ttft.p99_ms, r.tpot.p50_ms, r.tpot.p99_ms,
              r.kv_peak * 100, r.load * 100, r.imbalance);
}

std::string result_header() {
  return line("%5s %6s %8s %9s %7s %4s %9s %8s %8s %7s %7s %6s %6s %5s\n", "nodes", "copies",
              "replicas", "offered/s", "within", "meet", "goodput", "TTFT p50", "p99 ms", "TPOT 50",
              "p99 ms", "KV max", "load", "skew");
}

std::string layout_of(const report_row& row) {
  const auto& plan = row.plan;
  std::string out = line(
      "%u nodes, %u copies: %u replicas of %u nodes, each %u stages and %u shards, "
      "%llu tokens of KV",
      row.nodes, row.copies, plan.replicas, plan.nodes_per_replica, plan.layout.stages,
      plan.layout.shards, static_cast<unsigned long long>(plan.kv_tokens));
  if (plan.idle_nodes() > 0) out += line("; %u nodes idle", plan.idle_nodes());
  const auto& r = row.result;
  out += line(
      "\n  %llu requests: %llu done, %llu refused, %llu unfinished, %llu interrupted; "
      "%.0f tokens/s in, %.0f out; step %.1f ms, %.0f tokens; KV %s on average; "
      "prefix hits %s\n",
      static_cast<unsigned long long>(r.requests), static_cast<unsigned long long>(r.done),
      static_cast<unsigned long long>(r.refused), static_cast<unsigned long long>(r.unfinished),
      static_cast<unsigned long long>(r.touched), r.input_tokens_per_s, r.output_tokens_per_s,
      r.step_ms, r.step_tokens, percent(r.kv_mean).c_str(), percent(r.prefix_hit_rate).c_str());
  if (!r.recoveries.empty())
    out += line("  %zu recoveries in the run; steps ran %s of the time\n", r.recoveries.size(),
                percent(r.served_share, 3).c_str());
  return out;
}

std::string availability_text(uint32_t nodes, uint32_t copies, const availability_result& of) {
  std::string out =
      line("failures of %u nodes, %u copies: %.3f a day\n", nodes, copies, of.failures_per_day);
  if (of.classes.empty()) return out + "  availability 100 %: nothing fails\n";
  out += line("  available (steps run)   %s  [%s, %s]\n", percent(of.served.value, 5).c_str(),
              percent(of.served.low, 5).c_str(), percent(of.served.high, 5).c_str());
  out += line("  goodput kept            %s  [%s, %s]\n", percent(of.goodput.value, 5).c_str(),
              percent(of.goodput.low, 5).c_str(), percent(of.goodput.high, 5).c_str());
  out += line("  stop per failure        %.2f s  [%.2f, %.2f]\n", of.recovery_s.value,
              of.recovery_s.low, of.recovery_s.high);
  out += line("  %-22s %7s %8s %8s %8s %8s %8s %8s %10s\n", "seconds of a replica", "share",
              "detect", "decide", "restore", "no node", "refill", "rejoin", "recomputed");
  for (const auto& each : of.classes)
    out += line("  %-22s %6.1f%% %8.3f %8.3f %8.3f %8.1f %8.2f %8.2f %10.0f\n",
                text(to_string(each.kind), each.hang ? ", hangs" : "").c_str(), each.share * 100,
                each.detect.mean(), each.decide.mean(), each.restore.mean(), each.down.mean(),
                each.refill.mean(), each.rejoin.mean(), each.recomputed_tokens);
  return out;
}

std::string answer_text(const report& what) {
  const auto& found = *what.found;
  std::string out = "candidates, in the order tried\n" + result_header();
  for (const auto& each : found.tried) {
    if (each.why_not.empty())
      add_result(out, each.nodes, each.copies, each.replicas, each.result, each.meets);
    else
      out += line("%5u %6u  ", each.nodes, each.copies) + each.why_not + "\n";
  }
  out += "\n";
  for (const auto& each : found.choices)
    out += availability_text(each.nodes, each.copies, each.availability) + "\n";
  if (found.best) {
    const auto& best = found.choices[*found.best];
    return out + line("answer    %u nodes, %u copies of each expert: available %s\n\n", best.nodes,
                      best.copies, percent(best.availability.served.value, 4).c_str());
  }
  return out +
         (found.choices.empty()
              ? line("answer    none: up to %u devices do not serve this load\n\n", devices_max)
              : line("answer    none reaches an availability of %s\n\n",
                     percent(what.availability_wanted, 4).c_str()));
}

std::string fidelity_text(const fidelity_report& of) {
  std::string out = line(
      "fidelity of the generated requests at the published rate: %u of %u "
      "published numbers met\n  %-26s %12s %12s\n",
      of.accepted(), of.compared(), "", "published", "generated");
  for (const auto& row : of.rows) {
    const std::string published = row.published ? line("%12.4g", *row.published) : "           -";
    const char* verdict = row.accepted ? "" : row.published ? "not matched" : "not published";
    out += line("  %-26s %s %12.4g  %s\n", row.what.c_str(), published.c_str(), row.generated,
                verdict);
  }
  return out;
}

} // namespace

const std::vector<std::string>& modelled() {
  static const std::vector<std::string> all = {
      "steps by the engine's own batcher; placement and re-homing by its planner; silence by its "
      "failure detector",
      "time of a step: the larger of operations and bytes over the profile's speeds, kernel "
      "starts, "
      "dispatch and combine, hops between stages",
      "KV pages by count, prefixes in blocks of 512 tokens; preemption and recomputation",
      "a failure: detection, agreement, loading of weights, recomputation of KV pages, the node's "
      "return",
  };
  return all;
}

const std::vector<std::string>& not_modelled() {
  static const std::vector<std::string> all = {
      "congestion and topology of the network, overlap of communication with computing, "
      "speculative "
      "decoding",
      "expert routing follows an assumed skew: no public routing trace was verified",
      "copies of experts stand by and carry no load, as in the engine; no balancing of hot experts",
      "the balancer in front of the replicas is a stand-in; clients neither cancel nor retry",
      "silent data corruption; failures of several nodes at once other than behind one switch",
      "efficiencies and latencies marked as assumptions: compare with your own measurements",
  };
  return all;
}

std::string report_table(const report& what) {
  std::string out = heading(what) + "\n";
  if (what.found) {
    out += answer_text(what);
  } else {
    out += result_header();
    for (const auto& row : what.rows) {
      if (!row.why_not.empty()) {
        out += line("%5u %6u  ", row.nodes, row.copies) + row.why_not + "\n";
        continue;
      }
      add_result(out, row.nodes, row.copies, row.plan.replicas, row.result,
                 share_within(row.result) >= what.of.objective_share);
    }
    out += "\n";
    for (const auto& row : what.rows) {
      if (!row.why_not.empty()) continue;
      out += layout_of(row);
      if (row.availability) out += availability_text(row.nodes, row.copies, *row.availability);
    }
    out += "\n";
  }
  out += fidelity_text(what.fidelity);
  out += "\nmodelled\n";
  for (const auto& each : modelled()) out += "  " + each + "\n";
  out += "not modelled\n";
  for (const auto& each : not_modelled()) out += "  " + each + "\n";
  return out;
}

} // namespace troupe::simulations::capacity
