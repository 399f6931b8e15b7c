// troupe simulate mutants: how many seeds each strategy needs to find each planted bug. Needs a
// program that was built with them.
#include "base/log.hpp"
#include "base/text.hpp"
#include "cli/simulate.hpp"
#include "cli/simulate_runs.hpp"
#include "cli/simulate_settings.hpp"
#include "cli/worker_pool.hpp"
#include "simulations/runner/study.hpp"

#include <algorithm>

namespace troupe::cli {
namespace {

struct mutants_settings {
  std::vector<std::string> scenario;
  std::vector<std::string> mutant;
  std::string strategies = "fifo,random,pct,delay,overlap,portfolio";
  uint32_t seeds_max = 200;
  jobs_settings jobs;
  bool json = false;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "scenario",
           .value = "NAME",
           .help = "a built-in scenario, a file that ends in .toml, or all; may be repeated",
           .unset = "all"},
          scenario);
    visit({.name = "mutant",
           .value = "NAME",
           .help = "a planted bug; may be repeated",
           .unset = "all of them"},
          mutant);
    visit({.name = "strategies",
           .value = "NAMES",
           .help = "strategies to compare, separated by commas"},
          strategies);
    visit({.name = "seeds-max",
           .value = "COUNT",
           .help = "seeds to look with, from 1 on, for each bug and strategy",
           .range = {1, 1000000}},
          seeds_max);
    jobs.for_each_field(visit);
    visit({.name = "json", .help = "print JSON"}, json);
    common.for_each_field(visit);
  }
};

result<std::vector<simulations::strategy_kind>> parse_strategies(std::string_view names) {
  std::vector<simulations::strategy_kind> out;
  while (!names.empty()) {
    const size_t comma = std::min(names.find(','), names.size());
    const auto kind = simulations::parse_strategy(names.substr(0, comma));
    if (!kind) return fail(kind.error());
    out.push_back(*kind);
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
  if (out.empty()) return fail(status_code::invalid_argument, "no strategy is named");
  return out;
}

result<std::vector<std::string>> chosen_mutants(const std::vector<std::string>& wanted,
                                                const std::vector<std::string>& known) {
  if (wanted.empty()) return known;
  for (const auto& name : wanted) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string near = nearest_name(name, known);
    return fail(status_code::invalid_argument,
                text("'", name, "' is no planted bug",
                     near.empty() ? "" : text("; did you mean ", near, "?")));
  }
  return wanted;
}

class mutant_study {
public:
  mutant_study(program& context, const mutants_settings& settings, const mutant_switch& mutants,
               std::vector<simulations::scenario> scenarios, simulations::study_options options)
      : context_(context),
        settings_(settings),
        mutants_(mutants),
        scenarios_(std::move(scenarios)),
        options_(std::move(options)),
        stop_(context.signals) {}

  int run() {
    table_ = {.strategies = options_.strategies, .rows = {}, .seeds_max = options_.seeds_max};
    for (const auto& name : options_.mutants)
      table_.rows.push_back(
          {.mutant = name,
           .cells = std::vector<simulations::study_cell>(options_.strategies.size())});
    pool_options pool{.items = options_.mutants.size() * options_.strategies.size(),
                      .workers = settings_.jobs.jobs != 0 ? settings_.jobs.jobs : processors()};
    pool.item_max = std::chrono::hours(24); // each run within has its own bound
    pool.work = [this](uint64_t n) { return work(n); };
    pool.done = [this](work_report report) { take(std::move(report)); };
    pool.stop = [this] { return stop_.asked(); };
    if (const auto ran = run_pool(pool, context_.clock); !ran.ok()) return context_.complain(ran);
    table_.complete = cells_ == pool.items;
    (void)context_.out.write(settings_.json ? simulations::study_json(table_)
                                            : simulations::study_markdown(table_));
    if (const int code = context_.exit_after_output(); code != exit_done) return code;
    const bool all_found = std::all_of(table_.rows.begin(), table_.rows.end(),
                                       [](const auto& row) { return row.found(); });
    return table_.complete && all_found ? exit_done : exit_failed;
  }

private:
  // In a worker process: one bug, one strategy. Its runs have processes of their own, because the
  // bug may crash them.
  std::string work(uint64_t n) const {
    log::set_level(log::level::off);
    const auto& mutant = options_.mutants[n / options_.strategies.size()];
    const auto kind = options_.strategies[n % options_.strategies.size()];
    mutants_.turn_on(mutant);
    const auto run = isolated_runs(context_.clock);
    const auto cell =
        simulations::look_for(mutant, kind, options_,
                              [&](const std::string&, simulations::strategy_kind with,
                                  uint64_t seed) -> std::optional<std::string> {
                                for (const auto& scenario : scenarios_) {
                                  simulations::run_spec spec;
                                  spec.what = scenario;
                                  spec.seed = seed;
                                  spec.strategy.kind = with;
                                  const auto result = simulations::run_judged(spec, false, run);
                                  if (const auto* failure = simulations::worst(result))
                                    return failure->invariant;
                                }
                                return std::nullopt;
                              });
    return text(cell.seeds, " ", cell.invariant);
  }

  void take(work_report report) {
    const size_t columns = options_.strategies.size();
    auto& row = table_.rows[report.item / columns];
    auto& cell = row.cells[report.item % columns];
    if (!report.bytes) {
      (void)context_.complain(status(status_code::unavailable, report.death));
      return;
    }
    ++cells_;
    const size_t space = report.bytes->find(' ');
    cell.seeds = std::stoull(report.bytes->substr(0, space));
    cell.invariant = report.bytes->substr(space + 1);
    (void)context_.err.write(text(
        row.mutant, ", ", simulations::to_string(options_.strategies[report.item % columns]), ": ",
        cell.found() ? text("seed ", cell.seeds, " by ", cell.invariant)
                     : text("not within ", cell.seeds, " seeds"),
        "\n"));
  }

  program& context_;
  const mutants_settings& settings_;
  const mutant_switch& mutants_;
  const std::vector<simulations::scenario> scenarios_;
  const simulations::study_options options_;
  stop_request stop_;
  simulations::study_table table_;
  uint64_t cells_ = 0; // that are filled
};

int run_mutants(program& context, const mutants_settings& settings, const mutant_switch& known) {
  if (known.names.empty())
    return context.complain(
        status(status_code::unsupported,
               "this program has no planted bugs; build the target troupe_mutants and run its "
               "`simulate mutants`"));
  auto mutants = chosen_mutants(settings.mutant, known.names);
  if (!mutants) return context.complain(mutants.error(), exit_usage);
  auto strategies = parse_strategies(settings.strategies);
  if (!strategies) return context.complain(strategies.error().within("--strategies"), exit_usage);
  auto scenarios = load_scenarios(context.files, settings.scenario);
  if (!scenarios) return context.complain(scenarios.error(), exit_usage);
  simulations::study_options options;
  options.mutants = std::move(*mutants);
  options.strategies = std::move(*strategies);
  options.seeds_max = settings.seeds_max;
  return mutant_study(context, settings, known, std::move(*scenarios), std::move(options)).run();
}

constexpr command_info mutants_info = {
    .name = "simulate mutants",
    .section = "simulate-mutants",
    .summary = "plants bugs and counts the seeds until they are found",
    .notes =
        "A cell of the table is the number of seeds until a run of any of the scenarios "
        "failed. Only in a\n"
        "program that was built with the bugs (target troupe_mutants).\n"
        "\n"
        "exit codes: 0 every bug was found by some strategy; 1 not; 2 wrong usage\n",
};

class mutants_command final : public command {
public:
  explicit mutants_command(mutant_switch mutants)
      : command(mutants_info), mutants_(std::move(mutants)), options_(options_of(settings_)) {}
  std::vector<option>& options() override { return options_; }
  int run(program& context) override { return run_mutants(context, settings_, mutants_); }

private:
  mutant_switch mutants_;
  mutants_settings settings_;
  std::vector<option> options_; // point into settings_
};

} // namespace

std::unique_ptr<command> make_simulate_mutants(mutant_switch mutants) {
  return std::make_unique<mutants_command>(std::move(mutants));
}

} // namespace troupe::cli
