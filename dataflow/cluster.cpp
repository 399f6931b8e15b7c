// Checks of what a cluster is configured with.
#include "dataflow/cluster.hpp"

#include "base/text.hpp"
#include "schemas/checksum.hpp"

#include <algorithm>
#include <set>
#include <span>

namespace troupe::dataflow {
namespace {

constexpr duration silence_most = std::chrono::minutes(30); // as far as phi_detector counts
constexpr uint32_t nodes_max = 4096;                        // reports grow with the square of it

status invalid(std::string why) {
  return {status_code::invalid_argument, std::move(why)};
}

status in_range(const char* field, uint64_t value, uint64_t min, uint64_t max) {
  if (value >= min && value <= max) return {};
  return invalid(text(field, " is ", value, "; it must be ", min, " to ", max));
}

status at_least(const char* field, duration value, duration min) {
  if (value >= min) return {};
  return invalid(
      text(field, " is ", value.count(), " ns; it must be at least ", min.count(), " ns"));
}

} // namespace

std::optional<node_index> cluster_layout::index_of(const std::string& name) const {
  const auto found = std::find(nodes.begin(), nodes.end(), name);
  if (found == nodes.end()) return {};
  return static_cast<node_index>(found - nodes.begin());
}

status validate(const cluster_layout& layout) {
  TROUPE_RETURN_IF_ERROR(in_range("the number of nodes", layout.nodes.size(), 1, nodes_max));
  std::set<std::string> names;
  for (const auto& name : layout.nodes) {
    if (name.empty()) return invalid("a node without a name");
    if (!names.insert(name).second) return invalid(text("two nodes are named '", name, "'"));
  }
  TROUPE_RETURN_IF_ERROR(in_range("voters", layout.voters, 1, layout.nodes.size()));
  TROUPE_RETURN_IF_ERROR(in_range("layers", layout.layers, 1, UINT32_MAX));
  TROUPE_RETURN_IF_ERROR(in_range("stages", layout.stages, 1, layout.layers));
  if (layout.experts == 0) return {};
  TROUPE_RETURN_IF_ERROR(in_range("shards", layout.shards, 1, layout.experts));
  TROUPE_RETURN_IF_ERROR(in_range("shard_copies", layout.shard_copies, 1, nodes_max));
  if (layout.shard_copies_max == 0) return {};
  return in_range("shard_copies_max", layout.shard_copies_max, layout.shard_copies, nodes_max);
}

uint64_t fingerprint(const cluster_layout& layout) {
  std::string all =
      text(layout.stages, ' ', layout.shards, ' ', layout.layers, ' ', layout.experts);
  for (const auto& name : layout.nodes) all += text(' ', name.size(), ' ', name);
  return schemas::checksum_of(std::as_bytes(std::span(all)));
}

status validate(const cluster_timing& timing) {
  const duration tick(1);
  TROUPE_RETURN_IF_ERROR(at_least("report_every", timing.report_every, tick));
  TROUPE_RETURN_IF_ERROR(in_range("suspect_phi", timing.suspect_phi, 1, 16));
  TROUPE_RETURN_IF_ERROR(at_least("pause_allowed", timing.pause_allowed, duration(0)));
  TROUPE_RETURN_IF_ERROR(at_least("silence_max", timing.silence_max, 2 * timing.report_every));
  if (timing.silence_max > silence_most)
    return invalid(text("silence_max is ", timing.silence_max.count(), " ns; it must be at most ",
                        silence_most.count(), " ns"));
  TROUPE_RETURN_IF_ERROR(at_least("reconnect_allowed", timing.reconnect_allowed, duration(0)));
  TROUPE_RETURN_IF_ERROR(at_least("vote_timeout", timing.vote_timeout, tick));
  TROUPE_RETURN_IF_ERROR(at_least("readmit_first", timing.readmit_first, duration(0)));
  TROUPE_RETURN_IF_ERROR(at_least("readmit_max", timing.readmit_max, timing.readmit_first));
  TROUPE_RETURN_IF_ERROR(at_least("formation_wait", timing.formation_wait, duration(0)));
  TROUPE_RETURN_IF_ERROR(at_least("resend_after", timing.resend_after, tick));
  TROUPE_RETURN_IF_ERROR(at_least("step_max", timing.step_max, tick));
  TROUPE_RETURN_IF_ERROR(at_least("reroute_after", timing.reroute_after, tick));
  return at_least("rebalance_every", timing.rebalance_every, duration(0));
}

} // namespace troupe::dataflow
