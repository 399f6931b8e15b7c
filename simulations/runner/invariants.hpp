// What runs are judged by: the invariants by name, and how bad it is when one is broken.
#pragma once

#include <string_view>
#include <vector>

namespace troupe::simulations {

// What a broken invariant means for the exit code, from bad to worse.
enum class severity : uint8_t {
  passed,
  harness,        // the simulation itself could not go on
  leak,           // something is left behind
  liveness,       // something never ends
  correctness,    // something wrong was said or done
  stopped,        // a check of the program failed, or it crashed
  nondeterminism, // the same seed gave another run, so nothing else counts
};

struct invariant_entry {
  std::string_view id; // "S2"
  severity worth = severity::correctness;
  std::string_view about; // one line
};

// Sorted by family and number.
const std::vector<invariant_entry>& invariant_table();
// Unknown ids count as wrong results.
severity severity_of(std::string_view invariant);
std::string_view to_string(severity worth);
// 0, 132, 131, 128, 129, 127, 130 in the order above.
int exit_code_of(severity worth);

// An invariant, or the name of a status that streams may end with.
bool is_failure_name(std::string_view name);

} // namespace troupe::simulations
