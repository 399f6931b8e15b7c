// Reference routing: the best expert not yet taken, again and again.
#include "compute/checks.hpp"
#include "compute/reference/kernels.hpp"
#include "compute/reference/math.hpp"

#include <array>
#include <limits>
#include <vector>

namespace troupe::compute {
namespace {

// Larger first, NaN last; the caller breaks ties by index.
bool better(float a, float b) {
  return std::isnan(b) ? !std::isnan(a) : a > b;
}

// y = softmax(x) with sixteen partial sums.
std::vector<float> softmax(std::span<const float> x) {
  float max = -std::numeric_limits<float>::infinity();
  for (const float value : x) max = reference::max(value, max);
  std::array<float, 16> lanes{};
  std::vector<float> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i] = reference::exp(x[i] - max);
    lanes[i % 16] = lanes[i % 16] + y[i];
  }
  const float sum = reference::tree_sum(lanes);
  for (float& value : y) value = value / sum;
  return y;
}

std::vector<float> scores_of(const router_rule& rule, std::span<const float> logits) {
  if (rule.score == router_score::softmax) return softmax(logits);
  std::vector<float> scores(logits.begin(), logits.end());
  if (rule.score == router_score::sigmoid) {
    for (float& value : scores) value = reference::sigmoid(value);
  }
  return scores;
}

// Index of the best entry for which taken is false; the lowest of equals.
uint32_t best_of(std::span<const float> values, const std::vector<bool>& taken) {
  uint32_t best = 0;
  bool found = false;
  for (uint32_t i = 0; i < values.size(); ++i) {
    if (taken[i] || (found && !better(values[i], values[best]))) continue;
    best = i;
    found = true;
  }
  return best;
}

float group_value(group_score by, std::span<const float> choice) {
  std::vector<bool> taken(choice.size());
  const uint32_t first = best_of(choice, taken);
  if (by == group_score::max || choice.size() == 1) return choice[first];
  taken[first] = true;
  return choice[first] + choice[best_of(choice, taken)];
}

// Applies the group limit; returns which experts may not be chosen at all.
std::vector<bool> limit_groups(const router_rule& rule, std::span<float> choice) {
  std::vector<bool> excluded(rule.experts);
  if (rule.groups_kept == rule.groups) return excluded;
  const uint32_t size = rule.experts / rule.groups;
  std::vector<float> values;
  for (uint32_t g = 0; g < rule.groups; ++g) {
    values.push_back(group_value(rule.group_by, choice.subspan(size_t{g} * size, size)));
  }
  std::vector<bool> kept(rule.groups);
  for (uint32_t i = 0; i < rule.groups_kept; ++i) kept[best_of(values, kept)] = true;
  for (uint32_t e = 0; e < rule.experts; ++e) {
    if (kept[e / size]) continue;
    choice[e] = 0;
    excluded[e] = !rule.masked_to_zero;
  }
  return excluded;
}

void finish_weights(const router_rule& rule, std::span<float> weights) {
  if (rule.score == router_score::softmax_of_chosen) {
    const std::vector<float> chosen = softmax(weights);
    std::copy(chosen.begin(), chosen.end(), weights.begin());
  }
  if (rule.normalise) {
    float sum = 0;
    for (const float weight : weights) sum = sum + weight;
    sum = sum + rule.normalise_eps;
    for (float& weight : weights) weight = weight / sum;
  }
  for (float& weight : weights) weight = weight * rule.scale;
}

void route_row(const route_args& args, std::span<const float> logits, std::span<int32_t> ids,
               std::span<float> weights) {
  const std::vector<float> scores = scores_of(args.rule, logits);
  std::vector<float> choice = scores;
  for (size_t e = 0; e < args.bias.size(); ++e) choice[e] = choice[e] + args.bias[e];
  std::vector<bool> taken = limit_groups(args.rule, choice);
  for (size_t j = 0; j < ids.size(); ++j) {
    const uint32_t best = best_of(choice, taken);
    taken[best] = true;
    ids[j] = static_cast<int32_t>(best);
    weights[j] = scores[best];
  }
  finish_weights(args.rule, weights);
}

} // namespace

void reference_kernels::route(const route_args& args) {
  check_args(args);
  const uint32_t k = args.rule.top_k;
  for (uint32_t r = 0; r < args.logits.rows; ++r) {
    route_row(args, {args.logits.row(r), args.rule.experts}, args.ids.subspan(size_t{r} * k, k),
              args.weights.subspan(size_t{r} * k, k));
  }
}

} // namespace troupe::compute
