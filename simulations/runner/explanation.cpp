// Plain text, most important first.
#include "simulations/runner/explanation.hpp"

#include "base/text.hpp"
#include "simulations/faults/toml_text.hpp"
#include "simulations/runner/sweep.hpp"

#include <algorithm>

namespace troupe::simulations {
namespace {

std::string time_text(time_point when) {
  const int64_t microseconds = when.time_since_epoch().count() / 1000;
  std::string out = text(microseconds / 1000, '.', text(1000 + microseconds % 1000).substr(1));
  out.insert(0, 12 - std::min<size_t>(12, out.size()), ' ');
  return text(out, " ms");
}

bool breaks(const run_result& what, std::string_view invariant) {
  return std::any_of(what.violations.begin(), what.violations.end(),
                     [&](const auto& each) { return each.invariant == invariant; });
}

std::string verdict(const plan_file& plan, const run_result& what) {
  if (plan.invariant.empty() && !plan.hash) return "";
  std::string out;
  if (plan.invariant.empty())
    out = what.violations.empty() ? "passes, as recorded\n" : "fails, where a pass was recorded\n";
  else
    out = breaks(what, plan.invariant)
              ? text("reproduced: fails in ", plan.invariant, ", as recorded\n")
              : text("not reproduced: does not fail in ", plan.invariant, ", as was recorded\n");
  if (plan.hash)
    out += *plan.hash == what.hash
               ? "the same events, one by one: the hash is the recorded one\n"
               : text("the hash differs from the recorded ", seed_text(*plan.hash),
                      ": the plan or the program was changed since\n");
  return out;
}

std::string timeline(const run_result& what) {
  if (what.marks.empty()) return "";
  std::vector<node_mark> marks = what.marks;
  std::stable_sort(marks.begin(), marks.end(),
                   [](const auto& a, const auto& b) { return a.when < b.when; });
  std::string out = "\ntimeline:\n";
  for (const auto& each : marks)
    out += text("  ", time_text(each.when), "  n", each.node, "  ", each.what, "\n");
  return out;
}

} // namespace

bool reproduced(const plan_file& plan, const run_result& what) {
  const bool same_failure =
      plan.invariant.empty() ? what.violations.empty() : breaks(what, plan.invariant);
  return same_failure && (!plan.hash || *plan.hash == what.hash);
}

std::string explain(const plan_file& plan, const run_result& what,
                    const explanation_options& options) {
  std::string out = verdict(plan, what);
  out += text("scenario ", plan.about.name, ", seed ", seed_text(plan.seed), ", strategy ",
              to_string(what.strategy), ", ", what.events, " events, virtual time ",
              write_duration(std::chrono::floor<std::chrono::milliseconds>(what.virtual_time)),
              ", hash ", seed_text(what.hash), "\n");
  out += text(what.streams, " streams (", what.streams_failed, " with an error), ", what.tokens,
              " tokens (", what.tokens_recomputed, " computed again), ", what.epochs, " epochs\n");
  if (what.violations.empty()) out += "\nno violations\n";
  for (const auto& each : what.violations)
    out += text("\nviolation of ", each.invariant, " at ", time_text(each.when), "\n  ", each.what,
                "\n");
  out += text("\n", plan.plan.faults.size(), " faults planned:\n");
  for (const auto& each : plan.plan.faults) out += text("  ", describe(each), "\n");
  if (options.timeline) out += timeline(what);
  if (options.tail_max == 0 || what.tail.empty()) return out;
  const size_t shown = std::min(options.tail_max, what.tail.size());
  out += text("\nlast ", shown, " events:\n");
  for (size_t i = what.tail.size() - shown; i < what.tail.size(); ++i)
    out += text("  ", what.tail[i], "\n");
  return out;
}

} // namespace troupe::simulations
