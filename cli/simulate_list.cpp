// troupe simulate list and expand: what there is, and what a seed means.
#include "base/text.hpp"
#include "cli/simulate.hpp"
#include "cli/simulate_runs.hpp"
#include "cli/simulate_settings.hpp"
#include "simulations/faults/catalogue.hpp"
#include "simulations/faults/expansion.hpp"
#include "simulations/runner/probes.hpp"

#include <nlohmann/json.hpp>

namespace troupe::cli {
namespace {

struct list_settings {
  bool json = false;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "json", .help = "print JSON"}, json);
    common.for_each_field(visit);
  }
};

std::string padded(std::string_view what, size_t columns) {
  std::string out(what);
  out.resize(std::max(columns, out.size() + 1), ' ');
  return out;
}

// The line that a scenario says of itself; the text was checked by a test.
std::string about(const simulations::built_in_scenario& what) {
  const auto parsed = simulations::parse_scenario(what.text, what.name);
  return parsed ? parsed->about : parsed.error().why();
}

std::string list_text() {
  std::string out = "scenarios:\n";
  for (const auto& each : simulations::built_in_scenarios())
    out += text("  ", padded(each.name, 34), about(each), "\n");
  size_t implemented = 0;
  std::string faults;
  for (const auto& each : simulations::fault_catalogue()) {
    if (each.implemented()) ++implemented;
    faults +=
        text("  ", padded(each.id, 5), padded(each.name, 22), padded(each.family, 12),
             each.implemented() ? std::string(each.about) : text("not yet: ", each.not_yet), "\n");
  }
  out += text("\nfaults (", implemented, " of ", simulations::fault_catalogue().size(),
              " can be injected):\n", faults, "\ninvariants:\n");
  for (const auto& each : simulations::invariant_table())
    out += text("  ", padded(each.id, 9), padded(simulations::to_string(each.worth), 17),
                each.about, "\n");
  out += "\nprobes:\n";
  for (const auto& each : simulations::known_probes()) out += text("  ", each, "\n");
  return out;
}

std::string list_json() {
  nlohmann::json out;
  for (const auto& each : simulations::built_in_scenarios())
    out["scenarios"].push_back({{"name", each.name}, {"about", about(each)}});
  for (const auto& each : simulations::fault_catalogue()) {
    nlohmann::json settings = nlohmann::json::array();
    for (const auto& setting : each.settings)
      settings.push_back({{"name", setting.name},
                          {"about", setting.about},
                          {"drawn", {setting.least, setting.most}},
                          {"allowed", {setting.allowed_least, setting.allowed_most}}});
    out["faults"].push_back({{"id", each.id},
                             {"family", each.family},
                             {"name", each.name},
                             {"about", each.about},
                             {"implemented", each.implemented()},
                             {"not_yet", each.not_yet},
                             {"settings", settings}});
  }
  for (const auto& each : simulations::invariant_table())
    out["invariants"].push_back({{"id", each.id},
                                 {"about", each.about},
                                 {"outcome", simulations::to_string(each.worth)},
                                 {"exit_code", simulations::exit_code_of(each.worth)}});
  for (const auto& each : simulations::known_probes()) out["probes"].push_back(each);
  return out.dump(2) + "\n";
}

int run_list(program& context, const list_settings& settings) {
  (void)context.out.write(settings.json ? list_json() : list_text());
  return context.exit_after_output();
}

constexpr command_info list_info = {
    .name = "simulate list",
    .section = "simulate-list",
    .summary = "lists scenarios, faults, invariants and probes",
    .notes = "exit codes: 0 done; 2 wrong usage\n",
};

struct expand_settings {
  std::vector<std::string> words;
  uint32_t nodes = 0;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "words",
           .value = "SCENARIO SEED",
           .help = "a scenario by name or file, and a seed",
           .positional = true},
          words);
    visit({.name = "nodes",
           .value = "COUNT",
           .help = "nodes of the simulated cluster; voters and doors are no more than they",
           .range = {0, 64},
           .unset = "what the scenario says"},
          nodes);
    common.for_each_field(visit);
  }
};

int run_expand(program& context, const expand_settings& settings) {
  if (settings.words.size() != 2)
    return context.complain(
        status(status_code::invalid_argument, "troupe simulate expand takes a scenario and a seed"),
        exit_usage);
  auto scenario = load_scenario(context.files, settings.words[0]);
  if (!scenario) return context.complain(scenario.error(), exit_usage);
  const auto seed = simulations::parse_seed(settings.words[1]);
  if (!seed) return context.complain(seed.error(), exit_usage);
  if (settings.nodes != 0) set_nodes(*scenario, settings.nodes);
  simulations::plan_file out{.about = *scenario,
                             .seed = *seed,
                             .strategy = {},
                             .plan = simulations::expand(*scenario, *seed),
                             .invariant = "",
                             .hash = {}};
  out.about.antagonists.clear(); // the plan says what they have become
  (void)context.out.write(simulations::write_plan(out));
  return context.exit_after_output();
}

constexpr command_info expand_info = {
    .name = "simulate expand",
    .section = "simulate-expand",
    .summary = "prints the plan that a seed means, to be edited and replayed",
    .notes =
        "exit codes: 0 done; 2 wrong usage\n"
        "\n"
        "example:\n"
        "  troupe simulate expand cascade 7 > plan.toml && troupe simulate replay plan.toml\n",
};

} // namespace

std::unique_ptr<command> make_simulate_list() {
  return make_command<list_settings>(list_info, run_list);
}

std::unique_ptr<command> make_simulate_expand() {
  return make_command<expand_settings>(expand_info, run_expand);
}

void add_simulate_commands(command_list& to, mutant_switch mutants) {
  to.push_back(make_simulate_run());
  to.push_back(make_simulate_replay());
  to.push_back(make_simulate_shrink());
  to.push_back(make_simulate_expand());
  to.push_back(make_simulate_list());
  to.push_back(make_simulate_mutants(std::move(mutants)));
}

} // namespace troupe::cli
