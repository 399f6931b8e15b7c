// Which runs, their judgement, and their sum.
#include "simulations/runner/sweep.hpp"

#include "base/random.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <charconv>

namespace troupe::simulations {
namespace {

// Seconds with two digits after the point, by integers.
std::string seconds_text(duration what) {
  const int64_t hundredths = what.count() / 10'000'000;
  return text(hundredths / 100, '.', hundredths / 10 % 10, hundredths % 10);
}

// Two runs of one seed: nothing when they are alike.
std::optional<violation> difference(const run_spec& spec, const run_result& a, const run_result& b,
                                    const run_function& run) {
  if (a.hash == b.hash && a.events == b.events) return std::nullopt;
  run_spec logged = spec;
  logged.log_draws = true;
  const run_result first = run(logged), second = run(logged);
  const size_t shorter = std::min(first.event_hashes.size(), second.event_hashes.size());
  size_t at = 0;
  while (at < shorter && first.event_hashes[at] == second.event_hashes[at]) ++at;
  std::string what = text("hash ", seed_text(a.hash), " after ", a.events, " events, then ",
                          seed_text(b.hash), " after ", b.events);
  if (first.hash == second.hash)
    what += "; with the log on, two more runs were alike";
  else
    what += text("; the first event that differs is number ", at);
  return violation{.invariant = "D1", .what = std::move(what), .when = {}};
}

// Some streams must have ended with an error; that it is one that says why is checked in the run.
void judge_streams(const scenario& about, run_result& out) {
  if (about.expect.fails_with.empty() || out.streams_failed > 0) return;
  out.violations.push_back(
      {.invariant = "EXPECT",
       .what = text("streams must end with ", about.expect.fails_with, " and none did"),
       .when = time_point(out.virtual_time)});
}

} // namespace

result<seed_range> parse_seeds(std::string_view source) {
  const size_t dots = source.find("..");
  const auto first = parse_seed(source.substr(0, dots));
  if (!first) return fail(first.error());
  if (dots == std::string_view::npos) return seed_range{*first, *first};
  const auto last = parse_seed(source.substr(dots + 2));
  if (!last) return fail(last.error());
  if (*last < *first)
    return fail(status_code::invalid_argument,
                text("'", source, "' is empty: the last seed is below the first"));
  if (*last - *first >= 1'000'000'000'000)
    return fail(status_code::invalid_argument, text("'", source, "' are too many seeds"));
  return seed_range{*first, *last};
}

uint64_t runs_of(const sweep_options& options) {
  return (options.seeds.last - options.seeds.first + 1) * options.scenarios.size();
}

sweep_item item_of(const sweep_options& options, uint64_t n) {
  return {.scenario = static_cast<size_t>(n % options.scenarios.size()),
          .seed = options.seeds.first + n / options.scenarios.size()};
}

bool runs_twice(uint64_t seed, determinism_check check) {
  if (check != determinism_check::some) return check == determinism_check::all;
  const random_key key{
      .seed = seed, .subsystem = random_subsystem::scheduling, .entity = UINT32_MAX};
  return random_below(key, 0, 20) == 0;
}

void judge(const scenario& about, run_result& out) {
  // A cluster that can never agree again cannot free what it held.
  if (!about.expect.survivable)
    std::erase_if(out.violations,
                  [](const auto& each) { return severity_of(each.invariant) == severity::leak; });
  const std::string& wanted = about.expect.fails_with;
  const auto& table = invariant_table();
  const bool is_invariant =
      std::any_of(table.begin(), table.end(), [&](const auto& each) { return each.id == wanted; });
  if (!is_invariant) return judge_streams(about, out);
  const bool met = std::any_of(out.violations.begin(), out.violations.end(),
                               [&](const auto& each) { return each.invariant == wanted; });
  // What never ends breaks several invariants at once.
  const bool liveness = severity_of(wanted) == severity::liveness;
  if (met)
    std::erase_if(out.violations, [&](const auto& each) {
      return each.invariant == wanted ||
             (liveness && severity_of(each.invariant) == severity::liveness);
    });
  if (met) return;
  out.violations.push_back({.invariant = "EXPECT",
                            .what = text("the scenario must fail with ", wanted, " and did not"),
                            .when = time_point(out.virtual_time)});
}

run_result run_judged(const run_spec& spec, bool twice, const run_function& run) {
  run_result out = run(spec);
  if (twice)
    if (auto differs = difference(spec, out, run(spec), run))
      out.violations.push_back(std::move(*differs));
  judge(spec.what, out);
  return out;
}

const violation* worst(const run_result& what) {
  const violation* out = nullptr;
  for (const auto& each : what.violations)
    if (out == nullptr || severity_of(each.invariant) > severity_of(out->invariant)) out = &each;
  return out;
}

plan_file plan_of(const run_spec& spec, const run_result& what) {
  plan_file out{.about = spec.what,
                .seed = spec.seed,
                .strategy = spec.strategy,
                .plan = what.plan,
                .invariant = "",
                .hash = what.hash};
  out.strategy.kind = resolve(spec.strategy.kind, spec.seed);
  out.about.antagonists.clear(); // the plan says what they have become
  if (const auto* failure = worst(what)) out.invariant = failure->invariant;
  if (what.events == 0) out.hash.reset(); // it did not come to its end
  return out;
}

std::string failure_line(const scenario& about, const run_result& what,
                         std::string_view plan_path) {
  const auto* failure = worst(what);
  return text("FAIL inv=", failure == nullptr ? "none" : failure->invariant,
              " seed=", seed_text(what.seed), " scenario=", about.name,
              " strategy=", to_string(what.strategy), " events=", what.events,
              " vt=", seconds_text(what.virtual_time), "s replay=\"troupe simulate replay ",
              plan_path, "\"");
}

void sweep_summary::add(const run_result& what, bool ran_twice) {
  ++runs;
  if (ran_twice) ++twice;
  events += what.events;
  virtual_time += what.virtual_time;
  streams += what.streams;
  streams_failed += what.streams_failed;
  tokens += what.tokens;
  tokens_recomputed += what.tokens_recomputed;
  epochs += what.epochs;
  digest += what.hash;
  for (const auto& [id, n] : what.faults) faults[id] += n;
  for (const auto& [name, n] : what.probes) probes[name] += n;
  ++strategies[std::string(to_string(what.strategy))];
  recoveries.insert(recoveries.end(), what.recoveries.begin(), what.recoveries.end());
  for (const auto& each : what.violations) {
    ++violations[each.invariant];
    if (each.invariant == "S6") ++streams_lost;
  }
  const auto* failure = simulations::worst(what);
  if (failure == nullptr) return;
  ++failed;
  worst = std::max(worst, severity_of(failure->invariant));
}

} // namespace troupe::simulations
