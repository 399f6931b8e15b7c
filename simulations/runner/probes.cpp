// One name for each `hit("…")` of the production folders; a test compares them.
#include "simulations/runner/probes.hpp"

namespace troupe::simulations {

const std::vector<std::string_view>& known_probes() {
  static const std::vector<std::string_view> all = {
      "device.hung",      "device.lost",        "draft.accepted",   "epoch.agreed",
      "epoch.by_load",    "epoch.go",           "epoch.learned",    "epoch.proposed",
      "epoch.ready",      "frame.taken",        "leader.begins",    "node.suspected",
      "part.restarted",   "register.accept",    "register.prepare", "register.recovered",
      "register.refused", "request.taken",      "shard.dispatched", "shard.rerouted",
      "shard.started",    "stage.started",      "step.done",        "step.started",
      "step.stuck",       "stream.resubmitted", "stream.resumed",   "stream.taken_over",
      "tokens.late",      "tokens.relayed",     "tokens.unwanted",  "votes.loaded",
      "votes.stored",     "votes.told",
  };
  return all;
}

} // namespace troupe::simulations
