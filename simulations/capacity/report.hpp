// What a study found, for people and for programs. The same study gives the same bytes.
#pragma once

#include "simulations/capacity/answer.hpp"

#include <optional>
#include <string>
#include <vector>

namespace troupe::simulations::capacity {

// One cluster that was looked at.
struct report_row {
  uint32_t nodes = 0, copies = 1;
  std::string why_not; // it could not be run; the rest is empty then
  system_plan plan;
  run_result result;
  std::optional<availability_result> availability;
};

struct report {
  const study& of;
  std::vector<report_row> rows;
  std::optional<answer> found;
  double availability_wanted = 0;
  fidelity_report fidelity;
};

std::string report_table(const report& what);
std::string report_json(const report& what);

// What the numbers leave out; one sentence a line.
const std::vector<std::string>& modelled();
const std::vector<std::string>& not_modelled();

} // namespace troupe::simulations::capacity
