// troupe simulate run: seeds of scenarios, as many at a time as there are processors; a line for
// each that fails, and what all of them added up to.
#include "base/log.hpp"
#include "base/text.hpp"
#include "cli/simulate.hpp"
#include "cli/simulate_runs.hpp"
#include "cli/simulate_settings.hpp"
#include "cli/worker_pool.hpp"
#include "simulations/faults/expansion.hpp"
#include "simulations/runner/result_text.hpp"

#include <algorithm>

namespace troupe::cli {
namespace {

using simulations::run_result;
using simulations::run_spec;

struct run_settings {
  scenario_settings what;
  std::string seeds = "1..100";
  jobs_settings jobs;
  std::string check_determinism = "some";
  std::string out = "simulate-failures";
  uint32_t stop_after = 0;
  bool json = false;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    what.for_each_field(visit);
    visit({.name = "seeds",
           .value = "A..B",
           .help = "seeds of each scenario, both included, or a single one"},
          seeds);
    jobs.for_each_field(visit);
    visit({.name = "check-determinism",
           .value = "SEEDS",
           .help = "which seeds are run twice and compared; some: one in twenty",
           .choices = "none|some|all"},
          check_determinism);
    visit({.name = "out", .value = "DIR", .help = "where the plans of failing runs are written"},
          out);
    visit({.name = "stop-after",
           .value = "COUNT",
           .help = "end after so many failing runs",
           .range = {0, 1000000},
           .unset = "never"},
          stop_after);
    visit({.name = "json", .help = "print the summary as JSON"}, json);
    common.for_each_field(visit);
  }
};

simulations::determinism_check check_of(const std::string& name) {
  if (name == "all") return simulations::determinism_check::all;
  return name == "none" ? simulations::determinism_check::none
                        : simulations::determinism_check::some;
}

class sweep {
public:
  sweep(program& context, const run_settings& settings, simulations::sweep_options options)
      : context_(context),
        settings_(settings),
        options_(std::move(options)),
        stop_(context.signals),
        begin_(context.clock.now()),
        told_(begin_),
        is_terminal_(context.err.is_terminal()) {}

  int run() {
    pool_options pool{.items = simulations::runs_of(options_),
                      .workers = settings_.jobs.jobs != 0 ? settings_.jobs.jobs : processors()};
    pool.workers = static_cast<uint32_t>(std::min<uint64_t>(pool.workers, pool.items));
    pool.item_max = run_real_time_max;
    pool.work = [this](uint64_t n) { return work(n); };
    pool.done = [this](work_report report) { take(std::move(report)); };
    pool.stop = [this] { return stop_.asked() || enough(); };
    pool.idle = [this] { tell_progress(); };
    const status ran = run_pool(pool, context_.clock);
    if (is_terminal_) (void)context_.err.write("\r\x1b[K");
    if (!ran.ok()) return context_.complain(ran);
    return report(pool.items);
  }

private:
  run_spec spec_of(uint64_t n) const {
    const auto item = simulations::item_of(options_, n);
    run_spec spec;
    spec.what = options_.scenarios[item.scenario];
    spec.seed = item.seed;
    spec.strategy = options_.strategy;
    return spec;
  }

  // In a worker process.
  std::string work(uint64_t n) const {
    log::set_level(log::level::error); // what a broken cluster warns of is no news here
    run_spec spec = spec_of(n);
    spec.tail_events = 0; // a replay shows them
    auto out = simulations::run_judged(
        spec, simulations::runs_twice(spec.seed, options_.determinism), simulations::run_once);
    out.tail.clear();
    out.event_hashes.clear();
    return simulations::write_result(out);
  }

  void take(work_report report) {
    const run_spec spec = spec_of(report.item);
    run_result result;
    if (report.bytes) {
      auto parsed = simulations::parse_result(*report.bytes);
      result = parsed ? std::move(*parsed) : broken_run(spec, parsed.error().why(), true);
    } else {
      result = broken_run(spec, report.death, report.hung);
      simulations::judge(spec.what, result);
    }
    summary_.add(result, simulations::runs_twice(spec.seed, options_.determinism));
    if (const auto* failure = simulations::worst(result)) tell_failure(spec, result, *failure);
  }

  void tell_failure(const run_spec& spec, run_result& result,
                    const simulations::violation& failure) {
    result.plan = simulations::expand(spec.what, spec.seed);
    const std::string path =
        text(settings_.out, "/", spec.what.name, "-", simulations::seed_text(spec.seed), "-",
             simulations::to_string(result.strategy), ".toml");
    status written = make_directory(settings_.out);
    if (written.ok())
      written = write_file(path, simulations::write_plan(simulations::plan_of(spec, result)));
    if (is_terminal_) (void)context_.err.write("\r\x1b[K");
    if (!written.ok()) (void)context_.complain(written);
    (void)context_.err.write(
        text(simulations::failure_line(spec.what, result, path), "\n     ", failure.what, "\n"));
  }

  bool enough() const {
    return settings_.stop_after != 0 && summary_.failed >= settings_.stop_after;
  }

  void tell_progress() {
    const time_point now = context_.clock.now();
    if (!is_terminal_ || now - told_ < std::chrono::milliseconds(200)) return;
    told_ = now;
    const double seconds = std::chrono::duration<double>(now - begin_).count();
    const uint64_t items = simulations::runs_of(options_);
    const double rate = double(summary_.runs) / seconds;
    const uint64_t left = rate > 0 ? uint64_t(double(items - summary_.runs) / rate) : 0;
    (void)context_.err.write(text("\r", summary_.runs, " of ", items, " runs, ", summary_.failed,
                                  " failed, ", uint64_t(rate), " a second, ", left,
                                  " s left\x1b[K"));
  }

  int report(uint64_t wanted) {
    const duration elapsed = context_.clock.now() - begin_;
    const bool cut = summary_.runs < wanted;
    if (cut)
      (void)context_.err.write(text("stopped after ", summary_.runs, " of ", wanted, " runs\n"));
    (void)context_.out.write(settings_.json ? simulations::summary_json(summary_, elapsed)
                                            : simulations::summary_text(summary_, elapsed));
    if (const int code = simulations::exit_code_of(summary_.worst); code != 0) return code;
    if (const int code = context_.exit_after_output(); code != exit_done) return code;
    return cut ? exit_failed : exit_done;
  }

  program& context_;
  const run_settings& settings_;
  const simulations::sweep_options options_;
  stop_request stop_;
  simulations::sweep_summary summary_;
  time_point begin_, told_;
  bool is_terminal_;
};

int run_sweep(program& context, const run_settings& settings) {
  simulations::sweep_options options;
  const auto seeds = simulations::parse_seeds(settings.seeds);
  if (!seeds) return context.complain(seeds.error().within("--seeds"), exit_usage);
  options.seeds = *seeds;
  auto scenarios = load_scenarios(context.files, settings.what.scenario);
  if (!scenarios) return context.complain(scenarios.error(), exit_usage);
  options.scenarios = std::move(*scenarios);
  if (settings.what.nodes != 0)
    for (auto& each : options.scenarios) set_nodes(each, settings.what.nodes);
  const auto kind = simulations::parse_strategy(settings.what.strategy);
  if (!kind) return context.complain(kind.error(), exit_usage);
  options.strategy.kind = *kind;
  options.strategy.changes = settings.what.changes;
  options.determinism = check_of(settings.check_determinism);
  return sweep(context, settings, std::move(options)).run();
}

constexpr command_info info = {
    .name = "simulate run",
    .section = "simulate-run",
    .summary = "runs a cluster under injected faults, seed after seed, and checks every answer",
    .notes =
        "All nodes run in one process on virtual time; the same seed gives the same run on every "
        "machine. A\n"
        "failing run is one line, FAIL inv=… seed=… replay=\"…\", and a plan in --out that replay "
        "and shrink take.\n"
        "Ctrl-C ends with the summary so far.\n"
        "\n"
        "exit codes: 0 all passed; 1 failed or stopped before the end; 2 wrong usage. Of failing "
        "runs the\n"
        "  worst decides: 130 not deterministic; 127 a check failed or a crash; 129 a wrong "
        "result; 128 something\n"
        "  never ends; 131 a leak; 132 the simulation itself did not come to its end\n"
        "\n"
        "example:\n"
        "  troupe simulate run --scenario node_loss --seeds 1..2000 --jobs 8\n",
};

} // namespace

std::unique_ptr<command> make_simulate_run() {
  return make_command<run_settings>(info, run_sweep);
}

} // namespace troupe::cli
