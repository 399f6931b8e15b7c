// troupe simulate replay: one run again, with everything told.
#include "base/log.hpp"
#include "base/text.hpp"
#include "cli/simulate.hpp"
#include "cli/simulate_runs.hpp"
#include "cli/simulate_settings.hpp"
#include "simulations/runner/diagram.hpp"
#include "simulations/runner/explanation.hpp"

namespace troupe::cli {
namespace {

constexpr size_t events_told_max = 2'000'000;

struct replay_settings {
  std::vector<std::string> plan;
  std::string log = "tail";
  std::string svg;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "plan", .value = "PLAN", .help = "a plan file", .positional = true}, plan);
    visit({.name = "log",
           .value = "EVENTS",
           .help = "which events are printed: none, the last thirty, or all of them",
           .choices = "none|tail|full"},
          log);
    visit({.name = "svg", .value = "FILE", .help = "write a space-time diagram"}, svg);
    common.for_each_field(visit);
  }
};

int run_replay(program& context, const replay_settings& settings) {
  if (settings.plan.size() != 1)
    return context.complain(
        status(status_code::invalid_argument, "troupe simulate replay takes one plan file"),
        exit_usage);
  const auto plan = load_plan(context.files, settings.plan[0]);
  if (!plan) return context.complain(plan.error(), exit_usage);
  simulations::run_spec spec = simulations::spec_of(*plan);
  spec.record_messages = !settings.svg.empty();
  if (settings.log == "full") spec.tail_events = events_told_max;
  log::set_level(log::level::error);
  const bool twice = plan->invariant == "D1";
  const auto result = simulations::run_judged(spec, twice, isolated_runs(context.clock));
  simulations::explanation_options options;
  if (settings.log == "none") options.tail_max = 0;
  if (settings.log == "full") options.tail_max = events_told_max;
  (void)context.out.write(simulations::explain(*plan, result, options));
  if (!settings.svg.empty()) {
    simulations::diagram_options picture;
    picture.title = text(plan->about.name, ", seed ", simulations::seed_text(plan->seed));
    const auto written = write_file(settings.svg, space_time_diagram(result, picture));
    if (!written.ok()) return context.complain(written);
  }
  if (const auto* failure = simulations::worst(result))
    return simulations::exit_code_of(simulations::severity_of(failure->invariant));
  return context.exit_after_output();
}

constexpr command_info info = {
    .name = "simulate replay",
    .section = "simulate-replay",
    .summary = "runs a plan again and tells what happened",
    .notes =
        "Says whether the run ended as the plan recorded, then violations, faults, the "
        "timeline of the nodes\n"
        "and the last events. Plans can be edited: every fault is a table with its time or "
        "probe, node, length\n"
        "and settings.\n"
        "\n"
        "exit codes: as of simulate run; 0 when the run passes\n",
};

} // namespace

std::unique_ptr<command> make_simulate_replay() {
  return make_command<replay_settings>(info, run_replay);
}

} // namespace troupe::cli
