// End-of-sequence ids, stop ids and limits, in this order.
#include "dataflow/finish_rule.hpp"

#include <algorithm>

namespace troupe::dataflow {
namespace {

bool contains(std::span<const int32_t> ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

} // namespace

std::optional<finish_decision> finish_after(const generation_request& request,
                                            const finish_facts& facts) {
  const bool is_eos = !request.ignore_eos && contains(facts.eos_ids, facts.token);
  if (facts.drawn > request.tokens_min && (is_eos || contains(request.stop_ids, facts.token)))
    return finish_decision{finish_reason::stop, true};
  if (facts.drawn >= request.tokens_max || facts.known >= facts.positions_max)
    return finish_decision{finish_reason::length, false};
  return std::nullopt;
}

std::vector<int32_t> banned_before_min(const generation_request& request, uint32_t drawn,
                                       std::span<const int32_t> eos_ids) {
  std::vector<int32_t> banned;
  if (drawn >= request.tokens_min) return banned;
  banned = request.stop_ids;
  if (!request.ignore_eos) banned.insert(banned.end(), eos_ids.begin(), eos_ids.end());
  return banned;
}

} // namespace troupe::dataflow
