// The table of invariants.
#include "simulations/runner/invariants.hpp"

#include "base/status.hpp"

#include <algorithm>

namespace troupe::simulations {

const std::vector<invariant_entry>& invariant_table() {
  using enum severity;
  static const std::vector<invariant_entry> table = {
      {"S1", correctness, "a stream has its tokens in order, none missing or twice, one end"},
      {"S2", correctness, "a stream equals what one undisturbed node gives, bit for bit"},
      {"S3", correctness, "all layers of a token have the same version of the weights"},
      {"S4", correctness, "what an expert gives for a token counts exactly once"},
      {"S5", correctness,
       "keys and values are of the right prefix, and freed after their last use"},
      {"S6", liveness, "every request ends: done, or with an error that says why"},
      {"S7", correctness, "queues, credits and memory stay within their bounds"},
      {"S8", correctness, "nothing of an old epoch or a dead process has an effect"},
      {"S9", leak, "what a cancelled request held is freed in time"},
      {"S10", liveness, "nobody waits for ever while others are served"},
      {"M1", correctness, "a role has at most one owner in an epoch"},
      {"M2", liveness, "a lost node is noticed in time, and a healthy one is not suspected"},
      {"M3", liveness, "after a heal everybody agrees on who is in"},
      {"M4", correctness, "nodes are not excluded and readmitted all the time"},
      {"M5", correctness, "parts are restarted within their bounds, then the node gives up"},
      {"M6", liveness, "with a healthy core everything ends, whatever became of the rest"},
      {"M7", leak, "crashes leave no actor, timer, page or epoch behind"},
      {"D1", nondeterminism, "the same seed gives the same run"},
      {"D2", harness, "every probe is hit by some seed"},
      {"D3", harness, "every planted bug is found"},
      {"D4", harness, "virtual time does not depend on real time"},
      {"CHECK", stopped, "no check of the program fails, and it does not crash"},
      {"EXPECT", correctness, "a run that must fail in a certain way fails in that way"},
      {"HARNESS", harness, "the simulation itself goes on to its end"},
  };
  return table;
}

severity severity_of(std::string_view invariant) {
  for (const auto& entry : invariant_table())
    if (entry.id == invariant) return entry.worth;
  return severity::correctness;
}

std::string_view to_string(severity worth) {
  switch (worth) {
    case severity::passed:
      return "passed";
    case severity::harness:
      return "harness";
    case severity::leak:
      return "leak";
    case severity::liveness:
      return "liveness";
    case severity::correctness:
      return "correctness";
    case severity::stopped:
      return "check";
    case severity::nondeterminism:
      return "non-determinism";
  }
  return "unknown";
}

int exit_code_of(severity worth) {
  switch (worth) {
    case severity::passed:
      return 0;
    case severity::harness:
      return 132;
    case severity::leak:
      return 131;
    case severity::liveness:
      return 128;
    case severity::correctness:
      return 129;
    case severity::stopped:
      return 127;
    case severity::nondeterminism:
      return 130;
  }
  return 132;
}

bool is_failure_name(std::string_view name) {
  for (const auto& entry : invariant_table())
    if (entry.id == name) return true;
  for (int code = 1; code <= static_cast<int>(status_code::cancelled); ++code)
    if (troupe::to_string(static_cast<status_code>(code)) == name) return true;
  return false;
}

} // namespace troupe::simulations
