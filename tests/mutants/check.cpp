// Each bug in a process of its own, because it may end that process.
#include "tests/mutants/check.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "cli/program.hpp"
#include "cli/simulate_runs.hpp"
#include "cli/simulate_settings.hpp"
#include "cli/worker_pool.hpp"
#include "tests/mutants/planted.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace troupe::mutants {
namespace {

using cli::program;

struct check_settings {
  uint32_t seeds = 12;
  bool list = false;
  cli::jobs_settings jobs;
  cli::common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "seeds",
           .value = "COUNT",
           .help = "seeds to look with, from the recorded one on, for each bug",
           .range = {1, 1000000}},
          seeds);
    visit({.name = "list", .help = "print the names of the planted bugs and nothing else"}, list);
    jobs.for_each_field(visit);
    common.for_each_field(visit);
  }
};

// One seed of one scenario, with a bug or without.
struct trial {
  std::string_view mutant;
  std::string_view scenario;
  uint64_t seed = 1;
};

// The bugs first, then once each of their first runs without any.
std::vector<trial> all_trials() {
  std::vector<trial> out;
  std::set<std::pair<std::string_view, uint64_t>> clean;
  for (const auto& bug : planted_bugs()) {
    out.push_back({bug.name, bug.scenario, bug.seed});
    clean.emplace(bug.scenario, bug.seed);
  }
  for (const auto& [scenario, seed] : clean) out.push_back({"", scenario, seed});
  return out;
}

class check {
public:
  check(program& context, const check_settings& settings)
      : context_(context), settings_(settings), trials_(all_trials()), stop_(context.signals) {}

  int run() {
    cli::pool_options pool{
        .items = trials_.size(),
        .workers = settings_.jobs.jobs != 0 ? settings_.jobs.jobs : cli::processors()};
    pool.item_max = cli::run_real_time_max;
    pool.work = [this](uint64_t n) { return work(trials_[n]); };
    pool.done = [this](cli::work_report report) { take(report); };
    pool.stop = [this] { return stop_.asked(); };
    if (const auto ran = cli::run_pool(pool, context_.clock); !ran.ok())
      return context_.complain(ran);
    (void)context_.out.write(text(planted_bugs().size(), " planted bugs, ", found_, " found; ",
                                  passed_, " of ", trials_.size() - planted_bugs().size(),
                                  " runs without a bug passed\n"));
    return found_ + passed_ == trials_.size() ? cli::exit_done : cli::exit_failed;
  }

private:
  // In a worker process: what told, or nothing.
  std::string work(const trial& what) const {
    log::set_level(log::level::off);
    plant(what.mutant);
    const auto scenario = cli::load_scenario(context_.files, std::string(what.scenario));
    if (!scenario) return what.mutant.empty() ? scenario.error().why() : std::string();
    const uint32_t seeds = what.mutant.empty() ? 1 : settings_.seeds;
    for (uint64_t seed = what.seed; seed < what.seed + seeds; ++seed) {
      simulations::run_spec spec;
      spec.what = *scenario;
      spec.seed = seed;
      spec.tail_events = 0;
      const auto result = simulations::run_judged(spec, false, simulations::run_once);
      if (const auto* failure = simulations::worst(result))
        return text("seed ", seed, ": ", failure->invariant, ": ", failure->what);
    }
    return "";
  }

  void take(const cli::work_report& report) {
    const auto& what = trials_[report.item];
    const std::string told = report.bytes ? *report.bytes : report.death;
    const bool clean = what.mutant.empty();
    (clean ? passed_ : found_) += clean == told.empty() ? 1 : 0;
    if (clean && told.empty()) return;
    if (clean)
      (void)context_.err.write(text("FAIL no bug planted, ", what.scenario, " ", told, "\n"));
    else if (told.empty())
      (void)context_.err.write(text("FAIL ", what.mutant, ": not found in ", what.scenario,
                                    " within ", settings_.seeds, " seeds from ", what.seed, "\n"));
    else
      (void)context_.err.write(text(what.mutant, ": ", what.scenario, " ", told, "\n"));
  }

  program& context_;
  const check_settings& settings_;
  const std::vector<trial> trials_;
  cli::stop_request stop_;
  size_t found_ = 0, passed_ = 0;
};

int run_check(program& context, const check_settings& settings) {
  if (!settings.list) return check(context, settings).run();
  for (const auto& bug : planted_bugs()) (void)context.out.write(text(bug.name, "\n"));
  return context.exit_after_output();
}

constexpr cli::command_info check_info = {
    .name = "check",
    .section = "check",
    .summary = "looks for each planted bug where it is known to show",
    .notes =
        "exit codes: 0 every bug is found and no run without a bug fails; 1 not; 2 wrong "
        "usage\n",
};

} // namespace

std::unique_ptr<cli::command> make_check() {
  return cli::make_command<check_settings>(check_info, run_check);
}

} // namespace troupe::mutants
