// Seed after seed until the bug shows.
#include "simulations/runner/study.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace troupe::simulations {
namespace {

// The middle of the seeds needed; those not found count as more than any.
std::string median_text(const study_table& what, size_t column) {
  std::vector<uint64_t> seeds;
  for (const auto& row : what.rows)
    seeds.push_back(row.cells[column].found() ? row.cells[column].seeds : UINT64_MAX);
  if (seeds.empty()) return "";
  std::sort(seeds.begin(), seeds.end());
  const uint64_t middle = seeds[(seeds.size() - 1) / 2];
  return middle == UINT64_MAX ? text("> ", what.seeds_max) : text(middle);
}

} // namespace

bool study_row::found() const {
  return std::any_of(cells.begin(), cells.end(), [](const auto& each) { return each.found(); });
}

study_cell look_for(const std::string& mutant, strategy_kind kind, const study_options& options,
                    const mutant_run& run) {
  study_cell out;
  while (out.seeds < options.seeds_max && !out.found()) {
    if (options.stop && options.stop()) break;
    if (auto told = run(mutant, kind, options.first_seed + out.seeds)) out.invariant = *told;
    ++out.seeds;
  }
  return out;
}

study_table study(const study_options& options, const mutant_run& run) {
  study_table out{.strategies = options.strategies, .rows = {}, .seeds_max = options.seeds_max};
  for (const auto& mutant : options.mutants) {
    study_row row{.mutant = mutant, .cells = {}};
    for (const auto kind : options.strategies) {
      if (options.progress) options.progress(mutant, kind);
      row.cells.push_back(look_for(mutant, kind, options, run));
      const auto& cell = row.cells.back();
      if (!cell.found() && cell.seeds < options.seeds_max) out.complete = false;
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

std::string study_markdown(const study_table& what) {
  std::string out = "| planted bug |", rule = "|---|";
  for (const auto kind : what.strategies) {
    out += text(" ", to_string(kind), " |");
    rule += "---|";
  }
  out += text(" told by |\n", rule, "---|\n");
  for (const auto& row : what.rows) {
    out += text("| ", row.mutant, " |");
    std::vector<std::string> told;
    for (const auto& cell : row.cells) {
      out += cell.found() ? text(" ", cell.seeds, " |") : text(" > ", cell.seeds, " |");
      if (cell.found() && std::find(told.begin(), told.end(), cell.invariant) == told.end())
        told.push_back(cell.invariant);
    }
    std::string names;
    for (const auto& name : told) names += text(names.empty() ? "" : ", ", name);
    out += text(" ", names.empty() ? "nobody" : names, " |\n");
  }
  out += "| median |";
  for (size_t column = 0; column < what.strategies.size(); ++column)
    out += text(" ", median_text(what, column), " |");
  return out + "  |\n";
}

std::string study_json(const study_table& what) {
  nlohmann::json rows = nlohmann::json::array();
  for (const auto& row : what.rows) {
    nlohmann::json cells = nlohmann::json::object();
    for (size_t i = 0; i < row.cells.size(); ++i)
      cells[std::string(to_string(what.strategies[i]))] = {{"found", row.cells[i].found()},
                                                           {"seeds", row.cells[i].seeds},
                                                           {"invariant", row.cells[i].invariant}};
    rows.push_back({{"mutant", row.mutant}, {"found", row.found()}, {"strategies", cells}});
  }
  const nlohmann::json out = {
      {"seeds_max", what.seeds_max}, {"complete", what.complete}, {"mutants", rows}};
  return out.dump(2) + "\n";
}

} // namespace troupe::simulations
