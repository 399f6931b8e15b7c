// The result of a run as one line of JSON: from a worker process to the one that counts.
#pragma once

#include "base/status.hpp"
#include "simulations/runner/run.hpp"

#include <string>
#include <string_view>

namespace troupe::simulations {

// Without the plan, which whoever asked for the run knows or can expand again.
std::string write_result(const run_result& what);
result<run_result> parse_result(std::string_view line);

} // namespace troupe::simulations
