// Greedy, and every step is checked by a run that must fail in the same invariant.
#include "simulations/runner/shrink.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "simulations/faults/catalogue.hpp"

#include <algorithm>

namespace troupe::simulations {
namespace {

using places = std::vector<size_t>;

std::vector<places> pieces_of(const places& whole, size_t count) {
  std::vector<places> out(count);
  for (size_t i = 0; i < whole.size(); ++i) out[i * count / whole.size()].push_back(whole[i]);
  return out;
}

places without(const places& whole, const places& part) {
  places out;
  std::set_difference(whole.begin(), whole.end(), part.begin(), part.end(),
                      std::back_inserter(out));
  return out;
}

// What halving cannot make milder: choices, and bits.
bool is_choice(const fault_setting& setting) {
  return setting.name == "shuffle" || setting.name == "mask" ||
         (setting.allowed_least == 0 && setting.allowed_most <= 3);
}

class shrinker {
public:
  shrinker(const plan_file& from, const shrink_options& options, const run_function& run)
      : options_(options), run_(run) {
    out_.plan = from;
    out_.plan.hash.reset();
    out_.plan.about.antagonists.clear();
    out_.plan.strategy.kind = resolve(from.strategy.kind, from.seed);
    out_.faults_before = from.plan.faults.size();
  }

  result<shrink_outcome> work() {
    const run_result first = run_once_more(out_.plan);
    const auto* failure = worst(first);
    if (!out_.plan.invariant.empty()) failure = find(first, out_.plan.invariant);
    if (failure == nullptr)
      return fail(status_code::not_found,
                  text("the plan does not fail",
                       out_.plan.invariant.empty() ? "" : text(" in ", out_.plan.invariant)));
    invariant_ = failure->invariant;
    out_.plan.invariant = invariant_;
    out_.events_before = first.events;
    drop_faults("fewer faults");
    smaller_cluster();
    smaller_workload();
    plainest_strategy();
    drop_faults("fewer faults again");
    milder_faults();
    prove_minimal();
    run_spec spec = spec_of(out_.plan);
    spec.record_messages = true;
    out_.last = run_(spec);
    judge(spec.what, out_.last);
    out_.plan.hash = out_.last.hash;
    if (out_.last.events == 0) out_.plan.hash.reset();
    return std::move(out_);
  }

private:
  static const violation* find(const run_result& in, std::string_view invariant) {
    for (const auto& each : in.violations)
      if (each.invariant == invariant) return &each;
    return nullptr;
  }

  run_result run_once_more(const plan_file& plan) {
    ++out_.runs;
    return run_judged(spec_of(plan), invariant_ == "D1" || plan.invariant == "D1", run_);
  }

  bool stopped() {
    if (!stopped_ && options_.stop) stopped_ = options_.stop();
    return stopped_;
  }

  bool fails(const plan_file& plan) { return find(run_once_more(plan), invariant_) != nullptr; }

  // Takes the candidate when it still fails and there are runs left to try with.
  bool keep(plan_file candidate) {
    if (stopped() || out_.runs >= options_.runs_max || candidate == out_.plan) return false;
    if (!fails(candidate)) return false;
    out_.plan = std::move(candidate);
    return true;
  }

  void tell(std::string_view step) {
    if (options_.progress) options_.progress(step, out_.runs);
  }

  plan_file with_faults(const places& which) const {
    plan_file out = out_.plan;
    out.plan.faults.clear();
    for (const size_t place : which) out.plan.faults.push_back(out_.plan.plan.faults[place]);
    return out;
  }

  void drop_faults(std::string_view step) {
    tell(step);
    const places kept = minimise(out_.plan.plan.faults.size(), [&](const places& which) {
      if (which.size() == out_.plan.plan.faults.size()) return true; // known
      if (stopped() || out_.runs >= options_.runs_max) return false;
      return fails(with_faults(which));
    });
    out_.plan = with_faults(kept);
  }

  void smaller_cluster() {
    tell("fewer nodes");
    const auto fits = [](const plan_file& plan) {
      const auto& cluster = plan.about.cluster;
      return std::all_of(plan.plan.faults.begin(), plan.plan.faults.end(), [&](const fault& each) {
        return (!each.target.empty() || each.node < cluster.nodes) &&
               each.peer.value_or(0) < cluster.nodes;
      });
    };
    const auto try_with = [&](auto change) {
      plan_file candidate = out_.plan;
      change(candidate.about.cluster);
      return fits(candidate) && keep(std::move(candidate));
    };
    while (out_.plan.about.cluster.nodes > 1 && try_with([](scenario_cluster& c) {
             --c.nodes;
             while (c.voters > c.nodes) c.voters -= 2;
             c.doors = std::min(c.doors, c.nodes);
           })) {
    }
    while (out_.plan.about.cluster.voters > 1 &&
           try_with([](scenario_cluster& c) { c.voters -= 2; })) {
    }
    (void)try_with([](scenario_cluster& c) { c.stages = 1; });
    (void)try_with([](scenario_cluster& c) { c.shards = 1; });
    (void)try_with([](scenario_cluster& c) { c.shard_copies_max = 0; });
    (void)try_with([](scenario_cluster& c) { c.node_speeds.clear(); });
    (void)try_with([](scenario_cluster& c) { c.shard_copies = 1; });
    (void)try_with([](scenario_cluster& c) { c.kv_pages = 0; });
  }

  void smaller_workload() {
    tell("fewer requests");
    const auto try_with = [&](auto change) {
      plan_file candidate = out_.plan;
      change(candidate.about.workload);
      return keep(std::move(candidate));
    };
    while (out_.plan.about.workload.requests > 1 &&
           try_with([](scenario_workload& w) { w.requests /= 2; })) {
    }
    while (out_.plan.about.workload.requests > 0 &&
           try_with([](scenario_workload& w) { --w.requests; })) {
    }
    (void)try_with([](scenario_workload& w) { w.cancel_percent = 0; });
    (void)try_with([](scenario_workload& w) { w.stop_percent = 0; });
    (void)try_with([](scenario_workload& w) { w.logprobs_percent = 0; });
    (void)try_with([](scenario_workload& w) { w.shared_prefix_percent = 0; });
    (void)try_with([](scenario_workload& w) { w.priority_percent = 0; });
    (void)try_with([](scenario_workload& w) { w.salt_percent = 0; });
    (void)try_with([](scenario_workload& w) { w.deadline_percent = 0; });
    (void)try_with([](scenario_workload& w) { w.choices_max = 1; });
    (void)try_with([](scenario_workload& w) { w.answer_tokens_max = w.answer_tokens_min; });
    (void)try_with([](scenario_workload& w) { w.prompt_tokens_max = w.prompt_tokens_min; });
  }

  void plainest_strategy() {
    tell("a plain strategy");
    plan_file candidate = out_.plan;
    candidate.strategy.kind = strategy_kind::fifo;
    (void)keep(std::move(candidate));
  }

  void milder_faults() {
    tell("milder faults");
    for (size_t i = 0; i < out_.plan.plan.faults.size(); ++i) {
      const auto* entry = find_fault(out_.plan.plan.faults[i].id);
      TROUPE_CHECK(entry != nullptr); // plans are checked when they are read
      while (shorter(i)) {
      }
      for (const auto& setting : entry->settings)
        while (!is_choice(setting) && halve(i, setting)) {
        }
    }
  }

  bool shorter(size_t place) {
    plan_file candidate = out_.plan;
    duration& lasts = candidate.plan.faults[place].lasts;
    const duration half = std::chrono::floor<std::chrono::microseconds>(lasts / 2);
    if (half == duration{}) return false; // 0 would be for good
    lasts = half;
    return keep(std::move(candidate));
  }

  bool halve(size_t place, const fault_setting& setting) {
    plan_file candidate = out_.plan;
    const auto at = candidate.plan.faults[place].settings.find(std::string(setting.name));
    if (at == candidate.plan.faults[place].settings.end() || at->second == 0) return false;
    int64_t floor = std::max<int64_t>(setting.allowed_least, 0);
    if (setting.name == "restart_after_ms") floor = 1; // 0 would be never
    const int64_t half = at->second / 2;
    if (half < floor && at->second > 0) return false;
    at->second = half;
    return keep(std::move(candidate));
  }

  // Every fault is left out once more, whatever that costs.
  void prove_minimal() {
    tell("leaving out each fault once more");
    for (size_t i = 0; i < out_.plan.plan.faults.size();) {
      if (stopped()) {
        out_.minimal = false;
        return;
      }
      plan_file candidate = out_.plan;
      candidate.plan.faults.erase(candidate.plan.faults.begin() + static_cast<ptrdiff_t>(i));
      if (fails(candidate)) {
        out_.plan = std::move(candidate);
        i = 0; // what was needed with this one may not be without it
      } else {
        ++i;
      }
    }
  }

  const shrink_options& options_;
  const run_function& run_;
  shrink_outcome out_;
  std::string invariant_;
  bool stopped_ = false;
};

} // namespace

std::vector<size_t> minimise(size_t count,
                             const std::function<bool(const std::vector<size_t>&)>& fails) {
  places current(count);
  for (size_t i = 0; i < count; ++i) current[i] = i;
  if (count == 0 || fails({})) return {};
  size_t parts = 2;
  while (current.size() > 1) {
    parts = std::min(parts, current.size());
    bool smaller = false;
    for (const auto& piece : pieces_of(current, parts)) {
      if (parts > 2) break; // a half is tried alone, of smaller pieces only the rest
      if (!fails(piece)) continue;
      current = piece;
      smaller = true;
      break;
    }
    if (!smaller && parts > 2) // what a half leaves is the other half
      for (const auto& piece : pieces_of(current, parts)) {
        const places rest = without(current, piece);
        if (rest.empty() || !fails(rest)) continue;
        current = rest;
        parts = std::max<size_t>(parts - 1, 2);
        smaller = true;
        break;
      }
    if (smaller) continue;
    if (parts == current.size()) break; // each one alone was tried
    parts *= 2;
  }
  return current;
}

result<shrink_outcome> shrink(const plan_file& from, const shrink_options& options,
                              const run_function& run) {
  return shrinker(from, options, run).work();
}

run_spec spec_of(const plan_file& plan) {
  run_spec out;
  out.what = plan.about;
  out.seed = plan.seed;
  out.plan = plan.plan;
  out.strategy = plan.strategy;
  return out;
}

} // namespace troupe::simulations
