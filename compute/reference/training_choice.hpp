// Reference routing of training: scores, weights of the chosen experts, and their gradient.
#pragma once

#include "compute/reference/scalar_math.hpp"
#include "compute/route_choice.hpp"
#include "compute/training_kernels.hpp"

#include <limits>
#include <vector>

namespace troupe::compute::reference {

template <class T>
std::vector<T> softmax_of(std::span<const T> x) {
  T max = -std::numeric_limits<T>::infinity();
  for (const T value : x) max = value > max ? value : max;
  lane_sum<T> lanes;
  std::vector<T> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i] = scalar_math<T>::exp(x[i] - max);
    lanes.add(i, y[i]);
  }
  const T sum = lanes.total();
  for (T& value : y) value = value / sum;
  return y;
}

template <class T>
std::vector<T> router_scores(const router_rule& rule, std::span<const T> logits) {
  if (rule.score == router_score::softmax) return softmax_of(logits);
  std::vector<T> scores(logits.begin(), logits.end());
  if (rule.score == router_score::sigmoid)
    for (T& value : scores) value = sigmoid_of(value);
  return scores;
}

// What the weights are before scaling: raw scores, or the softmax over the chosen.
template <class T>
std::vector<T> chosen_scores(const router_rule& rule, std::span<const T> scores,
                             std::span<const int32_t> ids) {
  std::vector<T> chosen;
  for (const int32_t id : ids) chosen.push_back(scores[static_cast<size_t>(id)]);
  if (rule.score == router_score::softmax_of_chosen) chosen = softmax_of<T>(chosen);
  return chosen;
}

template <class T>
T normaliser(const router_rule& rule, std::span<const T> chosen) {
  T sum = 0;
  for (const T value : chosen) sum = sum + value;
  return sum + T(rule.normalise_eps);
}

template <class T>
void choose_row(const choice_args<T>& args, uint32_t row, expert_chooser& chooser) {
  const auto& rule = args.rule;
  const auto ids = args.ids.subspan(size_t{row} * rule.top_k, rule.top_k);
  const auto weights = args.weights.subspan(size_t{row} * rule.top_k, rule.top_k);
  const auto scores = router_scores<T>(rule, {args.logits.row(row), rule.experts});
  std::vector<float> choice(scores.size());
  for (size_t e = 0; e < scores.size(); ++e) {
    choice[e] = static_cast<float>(scores[e]);
    if (!args.bias.empty()) choice[e] = choice[e] + args.bias[e];
  }
  chooser.choose(rule, choice, ids);
  auto chosen = chosen_scores<T>(rule, scores, ids);
  const T sum = rule.normalise ? normaliser<T>(rule, chosen) : T(1);
  for (uint32_t j = 0; j < rule.top_k; ++j) {
    if (rule.normalise) chosen[j] = chosen[j] / sum;
    weights[j] = chosen[j] * T(rule.scale);
  }
}

// Gradient of the chosen scores from that of the finished weights.
template <class T>
std::vector<T> chosen_gradient(const router_rule& rule, std::span<const T> chosen,
                               std::span<const T> dweights) {
  std::vector<T> out(chosen.size());
  for (size_t j = 0; j < out.size(); ++j) out[j] = dweights[j] * T(rule.scale);
  if (!rule.normalise) return out;
  const T sum = normaliser(rule, chosen);
  T drift = 0;
  for (size_t j = 0; j < out.size(); ++j) drift = std::fma(out[j], chosen[j] / sum, drift);
  for (T& value : out) value = (value - drift) / sum;
  return out;
}

template <class T>
void choose_row_backward(const choice_backward_args<T>& args, uint32_t row) {
  const auto& rule = args.rule;
  const auto ids = args.ids.subspan(size_t{row} * rule.top_k, rule.top_k);
  const auto scores = router_scores<T>(rule, {args.logits.row(row), rule.experts});
  const auto chosen = chosen_scores<T>(rule, scores, ids);
  auto slope =
      chosen_gradient<T>(rule, chosen, args.dweights.subspan(size_t{row} * rule.top_k, rule.top_k));
  T* out = args.dlogits.row(row);
  for (uint32_t e = 0; e < rule.experts; ++e) out[e] = 0;
  T drift = 0;
  if (rule.score != router_score::sigmoid)
    for (size_t j = 0; j < chosen.size(); ++j) drift = std::fma(slope[j], chosen[j], drift);
  switch (rule.score) {
    case router_score::softmax: // every expert's logit is in the sum of exponentials
      for (uint32_t j = 0; j < rule.top_k; ++j) out[ids[j]] = slope[j];
      for (uint32_t e = 0; e < rule.experts; ++e) out[e] = scores[e] * (out[e] - drift);
      return;
    case router_score::sigmoid:
      for (uint32_t j = 0; j < rule.top_k; ++j)
        out[ids[j]] = slope[j] * (chosen[j] * (T(1) - chosen[j]));
      return;
    case router_score::softmax_of_chosen:
      for (uint32_t j = 0; j < rule.top_k; ++j) out[ids[j]] = chosen[j] * (slope[j] - drift);
      return;
  }
}

} // namespace troupe::compute::reference
