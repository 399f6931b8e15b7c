// What a sweep added up to, as a table for people and as JSON.
#include "base/text.hpp"
#include "simulations/faults/catalogue.hpp"
#include "simulations/faults/plan_text.hpp"
#include "simulations/runner/probes.hpp"
#include "simulations/runner/sweep.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace troupe::simulations {
namespace {

struct part_times {
  std::string_view name;
  duration recovery::*part;
};
constexpr std::array parts = {
    part_times{"detect", &recovery::detect},
    part_times{"decide", &recovery::decide},
    part_times{"restore", &recovery::restore},
    part_times{"refill", &recovery::refill},
};

std::vector<duration> sorted_times(const std::vector<recovery>& from, duration recovery::*part) {
  std::vector<duration> out;
  for (const auto& each : from) out.push_back(each.*part);
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<duration> sorted_totals(const std::vector<recovery>& from) {
  std::vector<duration> out;
  for (const auto& each : from)
    out.push_back(each.detect + each.decide + each.restore + each.refill);
  std::sort(out.begin(), out.end());
  return out;
}

// The nearest rank.
duration percentile(const std::vector<duration>& sorted, size_t percent) {
  if (sorted.empty()) return {};
  const size_t rank = (sorted.size() * percent + 99) / 100;
  return sorted[std::clamp<size_t>(rank, 1, sorted.size()) - 1];
}

std::string fixed(double value, int digits) {
  std::array<char, 64> out;
  std::snprintf(out.data(), out.size(), "%.*f", digits, value);
  return out.data();
}

std::string milliseconds(duration value) {
  return fixed(double(value.count()) / 1e6, 1);
}

double rate(uint64_t count, duration elapsed) {
  return elapsed.count() > 0 ? double(count) * 1e9 / double(elapsed.count()) : 0;
}

std::string line(std::string_view name, const std::string& value) {
  std::string out(name);
  out.resize(std::max<size_t>(out.size(), 20), ' ');
  return text(out, " ", value, "\n");
}

// "a 1, b 2", broken after about a hundred columns.
std::string listed(const std::vector<std::string>& items) {
  std::string out;
  size_t column = 0;
  for (const auto& item : items) {
    if (!out.empty()) {
      out += ",";
      column += item.size() + 2;
      out += column > 78 ? "\n                     " : " ";
      if (column > 78) column = 0;
    }
    out += item;
  }
  return out.empty() ? "none" : out;
}

std::vector<std::string> counted(const std::map<std::string, uint64_t>& from, bool is_fault) {
  std::vector<std::string> out;
  for (const auto& [name, count] : from) {
    const auto* entry = is_fault ? find_fault(name) : nullptr;
    out.push_back(text(name, entry == nullptr ? "" : text(" ", entry->name), " ", count));
  }
  return out;
}

std::string recovery_table(const sweep_summary& what) {
  if (what.recoveries.empty()) return line("recoveries", "none");
  std::string out = line("recoveries", text(what.recoveries.size(), ", in ms      p50        p99"));
  const auto row = [&](std::string_view name, const std::vector<duration>& sorted) {
    std::string p50 = milliseconds(percentile(sorted, 50)),
                p99 = milliseconds(percentile(sorted, 99));
    p50.insert(0, 26 - std::min<size_t>(26, p50.size()), ' ');
    p99.insert(0, 11 - std::min<size_t>(11, p99.size()), ' ');
    out += line(text("  ", name), p50 + p99);
  };
  for (const auto& each : parts) row(each.name, sorted_times(what.recoveries, each.part));
  row("all together", sorted_totals(what.recoveries));
  return out;
}

} // namespace

std::vector<std::string> probes_missed(const sweep_summary& what) {
  std::vector<std::string> out;
  for (const auto& probe : known_probes())
    if (!what.probes.contains(std::string(probe))) out.emplace_back(probe);
  return out;
}

std::string summary_text(const sweep_summary& what, duration elapsed) {
  const auto known = known_probes().size();
  const auto missed = probes_missed(what);
  std::string out;
  out += line("runs", text(what.runs, " (", what.twice, " of them twice), ",
                           fixed(rate(what.runs, elapsed), 1), " a second"));
  out += line("failed", text(what.failed));
  out += line("events", text(what.events, ", ", fixed(rate(what.events, elapsed), 0), " a second"));
  out += line("virtual hours", fixed(double(what.virtual_time.count()) / 3.6e12, 3));
  out += line("strategies", listed(counted(what.strategies, false)));
  out += line("faults", listed(counted(what.faults, true)));
  out += line("probes hit", text(known - missed.size(), " of ", known));
  if (!missed.empty()) out += line("probes never hit", listed(missed));
  out += recovery_table(what);
  out += line("epochs", text(what.epochs));
  out += line("streams", text(what.streams, ", with an error ", what.streams_failed));
  out += line("streams lost", text(what.streams_lost));
  out += line("tokens", text(what.tokens));
  out += line(
      "tokens recomputed",
      text(what.tokens_recomputed, " (",
           fixed(what.tokens == 0 ? 0 : 100 * double(what.tokens_recomputed) / double(what.tokens),
                 2),
           " %)"));
  if (!what.violations.empty()) out += line("violations", listed(counted(what.violations, false)));
  out += line("digest", seed_text(what.digest));
  return out;
}

std::string summary_json(const sweep_summary& what, duration elapsed) {
  nlohmann::json out = {{"runs", what.runs},
                        {"twice", what.twice},
                        {"failed", what.failed},
                        {"seconds", double(elapsed.count()) / 1e9},
                        {"runs_per_second", rate(what.runs, elapsed)},
                        {"events", what.events},
                        {"events_per_second", rate(what.events, elapsed)},
                        {"virtual_hours", double(what.virtual_time.count()) / 3.6e12},
                        {"strategies", what.strategies},
                        {"faults", what.faults},
                        {"probes", what.probes},
                        {"probes_never_hit", probes_missed(what)},
                        {"epochs", what.epochs},
                        {"streams", what.streams},
                        {"streams_failed", what.streams_failed},
                        {"streams_lost", what.streams_lost},
                        {"tokens", what.tokens},
                        {"tokens_recomputed", what.tokens_recomputed},
                        {"violations", what.violations},
                        {"digest", seed_text(what.digest)},
                        {"outcome", std::string(to_string(what.worst))}};
  nlohmann::json times = {{"count", what.recoveries.size()}};
  const auto add = [&](std::string_view name, const std::vector<duration>& sorted) {
    times[std::string(name)] = {{"p50_ms", double(percentile(sorted, 50).count()) / 1e6},
                                {"p99_ms", double(percentile(sorted, 99).count()) / 1e6}};
  };
  for (const auto& each : parts) add(each.name, sorted_times(what.recoveries, each.part));
  add("total", sorted_totals(what.recoveries));
  out["recoveries"] = std::move(times);
  return out.dump(2) + "\n";
}

} // namespace troupe::simulations
