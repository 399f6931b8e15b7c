// Importance document by document, and its pull as one call on the device per step.
#include "model/training/weight_anchor.hpp"

#include "base/check.hpp"
#include "compute/reference/scalar_math.hpp"

#include <algorithm>
#include <limits>

namespace troupe::model {
namespace {

// Apart from what else draws for learning (dataflow/ingest/learning_draws.hpp).
constexpr uint32_t first_label_draw = 0xE0000000;

uint64_t targets_in(const training_document& document) {
  return static_cast<uint64_t>(std::count_if(document.targets.begin(), document.targets.end(),
                                             [](int32_t target) { return target >= 0; }));
}

} // namespace

template <class T>
status importance_sums<T>::add(compute::training_kernels<T>& device, training_pass<T>& pass,
                               const parameter_values<T>& values,
                               std::span<const std::vector<float>> corrections,
                               const training_document& labelled) {
  gradients_.clear();
  const auto figures = pass.run(device, {values, corrections, &gradients_}, {&labelled, 1}, T(1));
  if (!figures) return figures.error();
  gradients_.close_share();
  device.add_squares(gradients_.total(), totals_);
  ++documents_;
  tokens_ += figures->targets;
  expert_rows_.resize(figures->expert_rows.size());
  for (size_t layer = 0; layer < expert_rows_.size(); ++layer) {
    const auto& rows = figures->expert_rows[layer];
    expert_rows_[layer].resize(rows.size());
    for (size_t e = 0; e < rows.size(); ++e) expert_rows_[layer][e] += rows[e];
  }
  return {};
}

template <class T>
std::vector<T> importance_sums<T>::finish(compute::training_kernels<T>& device) {
  TROUPE_CHECK(documents_ > 0);
  for (const auto& p : map_->list) {
    const bool routed = p.owner == parameter_owner::expert;
    const uint64_t rows = routed ? expert_rows_[p.layer][p.expert] : tokens_;
    if (rows == 0) continue; // nobody asked: its sum is zero
    const compute::matrix_of<T> all{totals_.data() + p.offset, p.rows, p.cols, p.cols};
    device.sum({.a = all, .b = {}, .factor = T(1) / static_cast<T>(rows), .y = all});
  }
  return std::move(totals_);
}

template <class T>
int32_t draw_label(std::span<const T> logits, T unit) {
  T max = -std::numeric_limits<T>::infinity();
  for (const T value : logits) max = value > max ? value : max;
  T sum = 0;
  const auto weight = [max](T logit) {
    return compute::reference::scalar_math<T>::exp(logit - max);
  };
  for (const T value : logits) sum = sum + weight(value);
  const T wanted = unit * sum;
  T below = 0;
  size_t last = 0; // with any weight: rounding may leave `wanted` at the very end
  for (size_t i = 0; i < logits.size(); ++i) {
    const T own = weight(logits[i]);
    if (own == 0) continue;
    below = below + own;
    last = i;
    if (wanted < below) break;
  }
  return static_cast<int32_t>(last);
}

template <class T>
status measure_importance(compute::training_kernels<T>& device, training_pass<T>& pass,
                          const parameter_values<T>& values,
                          std::span<const std::vector<float>> corrections,
                          std::span<const training_document> documents,
                          const importance_options& options, importance_sums<T>& sums) {
  std::vector<int32_t> labels;
  for (size_t number = 0; number < documents.size(); ++number) {
    const auto& document = documents[number];
    if (targets_in(document) == 0) continue;
    const auto logits = pass.logits(device, {values, corrections, nullptr}, {&document, 1});
    if (!logits) return logits.error();
    const size_t vocabulary = logits->size() / document.tokens.size();
    for (uint32_t draw = 0; draw < options.draws; ++draw) {
      const random_key key{.seed = options.seed,
                           .subsystem = random_subsystem::learning,
                           .entity = first_label_draw + draw};
      labels.assign(document.targets.begin(), document.targets.end());
      for (size_t row = 0; row < labels.size(); ++row) {
        if (labels[row] < 0) continue;
        const auto own = std::span<const T>(*logits).subspan(row * vocabulary, vocabulary);
        labels[row] = draw_label<T>(own, T(random_unit(key, uint64_t{number} << 32 | row)));
      }
      TROUPE_RETURN_IF_ERROR(
          sums.add(device, pass, values, corrections, {document.tokens, labels}));
    }
  }
  return {};
}

template <class T>
void weight_anchor<T>::renew(compute::training_kernels<T>& device,
                             const parameter_values<T>& values, std::span<const T> fresh) {
  TROUPE_CHECK(fresh.size() == importance_.size());
  std::ranges::copy(values.all(), anchor_.begin());
  for (const auto& p : map_->list) {
    const compute::matrix_of<T> known{importance_.data() + p.offset, p.rows, p.cols, p.cols};
    const compute::matrix_of<const T> added{fresh.data() + p.offset, p.rows, p.cols, p.cols};
    device.sum({.a = known, .b = {}, .factor = T(options_.decay), .y = known});
    device.sum({.a = known, .b = added, .factor = T(1), .y = known});
  }
}

template <class T>
void weight_anchor<T>::pull(compute::training_kernels<T>& device, const parameter_values<T>& values,
                            parameter_gradients<T>& gradients) const {
  device.anchor({.values = values.all(),
                 .anchor = anchor_,
                 .importance = importance_,
                 .strength = T(options_.strength),
                 .gradients = gradients.total()});
}

template <class T>
double weight_anchor<T>::penalty(const parameter_values<T>& values) const {
  compute::reference::lane_sum<double> lanes;
  const auto all = values.all();
  for (size_t i = 0; i < all.size(); ++i) {
    const double apart = static_cast<double>(all[i]) - static_cast<double>(anchor_[i]);
    lanes.add(i, static_cast<double>(importance_[i]) * (apart * apart));
  }
  return options_.strength / 2 * lanes.total();
}

#define TROUPE_INSTANTIATE(T)                                                       \
  template class importance_sums<T>;                                                \
  template class weight_anchor<T>;                                                  \
  template int32_t draw_label<T>(std::span<const T>, T);                            \
  template status measure_importance<T>(                                            \
      compute::training_kernels<T>&, training_pass<T>&, const parameter_values<T>&, \
      std::span<const std::vector<float>>, std::span<const training_document>,      \
      const importance_options&, importance_sums<T>&);
TROUPE_INSTANTIATE(float)
TROUPE_INSTANTIATE(double)
#undef TROUPE_INSTANTIATE

} // namespace troupe::model
