// Comparisons are written so that a figure that is no number never passes.
#include "dataflow/promotion.hpp"

#include "base/text.hpp"
#include "schemas/checksum.hpp"

#include <algorithm>
#include <cmath>
#include <span>

namespace troupe::dataflow {

std::vector<std::string> gate(const version_figures& parent, const version_figures& candidate,
                              const gate_limits& limits) {
  std::vector<std::string> out;
  if (!candidate.weights_finite) out.emplace_back("a weight is no finite number");
  if (!std::isfinite(candidate.imbalance))
    out.emplace_back("the imbalance of its experts is no finite number");
  else if (limits.imbalance_max > 0 && candidate.imbalance > limits.imbalance_max)
    out.push_back(text("the imbalance of its experts is ", candidate.imbalance, ", more than the ",
                       limits.imbalance_max, " allowed"));
  for (const auto& figure : candidate.held_out)
    if (!std::isfinite(figure.bits_per_byte))
      out.push_back(text("domain ", figure.domain, ": its bits per byte are no finite number"));
  for (const auto& before : parent.held_out) {
    const auto after =
        std::find_if(candidate.held_out.begin(), candidate.held_out.end(),
                     [&before](const auto& figure) { return figure.domain == before.domain; });
    if (after == candidate.held_out.end())
      out.push_back(text("domain ", before.domain, ": was measured of the parent, not of it"));
    else if (after->bits_per_byte > before.bits_per_byte + limits.epsilon)
      out.push_back(text("domain ", before.domain, ": ", after->bits_per_byte,
                         " bits per byte; its parent has ", before.bits_per_byte, " and may lose ",
                         limits.epsilon));
  }
  return out;
}

bool in_canary(std::string_view request_id, uint32_t percent) {
  return schemas::checksum_of(std::as_bytes(std::span(request_id))) % 100 < percent;
}

canary_verdict judge(const canary_counts& counts, const canary_limits& limits) {
  if (counts.failed > 0) return canary_verdict::failed;
  return counts.answered >= limits.answers_min ? canary_verdict::passed : canary_verdict::watching;
}

} // namespace troupe::dataflow
