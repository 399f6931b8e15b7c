// Scenarios within other TOML texts: a plan carries the one that it belongs to.
#pragma once

#include "simulations/faults/scenario.hpp"
#include "simulations/faults/toml_text.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace troupe::simulations {

result<scenario> read_scenario(const toml_value& table, std::string_view file);
// `prefix`: of the names of its tables, "" or "scenario.".
std::string write_scenario_at(const scenario& what, std::string_view prefix);

} // namespace troupe::simulations
