// troupe simulate shrink: from a failing plan to the least that fails in the same way.
#include "base/log.hpp"
#include "base/text.hpp"
#include "cli/simulate.hpp"
#include "cli/simulate_runs.hpp"
#include "cli/simulate_settings.hpp"
#include "simulations/runner/diagram.hpp"

namespace troupe::cli {
namespace {

struct shrink_settings {
  std::vector<std::string> plan;
  std::string output;
  uint32_t runs_max = 3000;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "plan", .value = "PLAN", .help = "a plan file", .positional = true}, plan);
    visit({.name = "output",
           .value = "FILE",
           .help = "the plan that is left; diagram and last events go beside it, as .svg and .txt",
           .aliases = "-o",
           .unset = "PLAN.min.toml"},
          output);
    visit({.name = "runs-max",
           .value = "COUNT",
           .help = "runs to try smaller plans with",
           .range = {1, 1000000}},
          runs_max);
    common.for_each_field(visit);
  }
};

std::string without_ending(const std::string& path) {
  return path.ends_with(".toml") ? path.substr(0, path.size() - 5) : path;
}

std::string events_text(const simulations::run_result& what) {
  std::string out;
  for (const auto& event : what.tail) out += text(event, "\n");
  return out;
}

status write_all(const std::string& path, const simulations::shrink_outcome& found) {
  const std::string base = without_ending(path);
  TROUPE_RETURN_IF_ERROR(write_file(path, simulations::write_plan(found.plan)));
  TROUPE_RETURN_IF_ERROR(write_file(base + ".txt", events_text(found.last)));
  simulations::diagram_options picture;
  picture.title = text(found.plan.about.name, ", seed ", simulations::seed_text(found.plan.seed),
                       ": ", found.plan.invariant);
  return write_file(base + ".svg", space_time_diagram(found.last, picture));
}

std::string outcome_text(const std::string& path, const simulations::shrink_outcome& found) {
  const auto& plan = found.plan;
  std::string out =
      text("faults ", found.faults_before, " -> ", plan.plan.faults.size(), ", events ",
           found.events_before, " -> ", found.last.events, ", ", found.runs, " runs\n");
  out += found.minimal ? "minimal: without any one of its faults it does not fail\n"
                       : "stopped: it may not be minimal\n";
  out += text(plan.about.cluster.nodes, " nodes, ", plan.about.workload.requests,
              " requests, strategy ", simulations::to_string(plan.strategy.kind), "\n");
  for (const auto& each : plan.plan.faults) out += text("  ", simulations::describe(each), "\n");
  for (const auto& each : found.last.violations)
    if (each.invariant == plan.invariant) out += text(each.invariant, ": ", each.what, "\n");
  const std::string base = without_ending(path);
  return out + text("wrote ", path, ", ", base, ".txt, ", base, ".svg\n", "troupe simulate replay ",
                    path, "\n");
}

int run_shrink(program& context, const shrink_settings& settings) {
  if (settings.plan.size() != 1)
    return context.complain(
        status(status_code::invalid_argument, "troupe simulate shrink takes one plan file"),
        exit_usage);
  const auto plan = load_plan(context.files, settings.plan[0]);
  if (!plan) return context.complain(plan.error(), exit_usage);
  log::set_level(log::level::error);
  stop_request stop(context.signals);
  simulations::shrink_options options;
  options.runs_max = settings.runs_max;
  options.stop = [&stop] { return stop.asked(); };
  options.progress = [&context](std::string_view step, uint64_t runs) {
    (void)context.err.write(text(runs, " runs: ", step, "\n"));
  };
  const auto found = simulations::shrink(*plan, options, isolated_runs(context.clock));
  if (!found) return context.complain(found.error());
  const std::string path =
      settings.output.empty() ? without_ending(settings.plan[0]) + ".min.toml" : settings.output;
  if (const auto written = write_all(path, *found); !written.ok()) return context.complain(written);
  (void)context.out.write(outcome_text(path, *found));
  if (!found->minimal) return exit_failed;
  return context.exit_after_output();
}

constexpr command_info info = {
    .name = "simulate shrink",
    .section = "simulate-shrink",
    .summary = "makes a failing plan as small as it can be",
    .notes =
        "Leaves out faults (delta debugging), then takes fewer nodes and requests, a plain "
        "strategy, and shorter\n"
        "and milder faults, as long as the same invariant is broken. In the end each fault is "
        "left out once more:\n"
        "without any one of them the failure is gone.\n"
        "\n"
        "exit codes: 0 done; 1 the plan does not fail, or stopped; 2 wrong usage\n",
};

} // namespace

std::unique_ptr<command> make_simulate_shrink() {
  return make_command<shrink_settings>(info, run_shrink);
}

} // namespace troupe::cli
