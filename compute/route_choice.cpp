// Keeps a short sorted list of the best so far; a later entry has to be strictly better to pass an
// earlier one, which breaks ties by index.
#include "compute/route_choice.hpp"

#include <cmath>
#include <limits>

namespace troupe::compute {
namespace {

// Larger first, NaN last.
bool better(float a, float b) {
  if (std::isnan(a)) return false;
  return std::isnan(b) || a > b;
}

// The best score of a group, or the sum of its best two.
float group_value(group_score by, std::span<const float> choice) {
  float first = choice[0];
  float second = std::numeric_limits<float>::quiet_NaN();
  for (const float score : choice.subspan(1)) {
    if (better(score, first)) {
      second = first;
      first = score;
    } else if (better(score, second)) {
      second = score;
    }
  }
  return by == group_score::max || choice.size() == 1 ? first : first + second;
}

} // namespace

template <class Eligible>
void expert_chooser::rank(std::span<const float> scores, uint32_t count, Eligible eligible) {
  best_.clear();
  for (uint32_t i = 0; i < scores.size(); ++i) {
    if (!eligible(i)) continue;
    const bool full = best_.size() == count;
    if (full && !better(scores[i], best_.back().score)) continue;
    if (full) best_.pop_back();
    size_t at = best_.size();
    while (at > 0 && better(scores[i], best_[at - 1].score)) --at;
    best_.insert(best_.begin() + static_cast<std::ptrdiff_t>(at), ranked{scores[i], i});
  }
}

void expert_chooser::keep_groups(const router_rule& rule, std::span<float> choice) {
  const uint32_t size = rule.experts / rule.groups;
  group_scores_.clear();
  for (uint32_t g = 0; g < rule.groups; ++g) {
    group_scores_.push_back(group_value(rule.group_by, choice.subspan(size_t{g} * size, size)));
  }
  rank(group_scores_, rule.groups_kept, [](uint32_t) { return true; });
  kept_.assign(rule.groups, 0);
  for (const ranked& group : best_) kept_[group.index] = 1;
  for (uint32_t e = 0; e < rule.experts; ++e) {
    if (kept_[e / size] == 0) choice[e] = 0;
  }
}

void expert_chooser::choose(const router_rule& rule, std::span<float> choice,
                            std::span<int32_t> ids) {
  if (rule.groups_kept < rule.groups) {
    keep_groups(rule, choice);
  } else {
    kept_.assign(rule.groups, 1);
  }
  const uint32_t size = rule.experts / rule.groups;
  rank(choice, rule.top_k,
       [this, &rule, size](uint32_t e) { return rule.masked_to_zero || kept_[e / size] != 0; });
  for (uint32_t j = 0; j < rule.top_k; ++j) ids[j] = static_cast<int32_t>(best_[j].index);
}

} // namespace troupe::compute
