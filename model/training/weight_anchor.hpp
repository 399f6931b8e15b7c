// Online EWC: weights are drawn back to where they were, each as strongly as it mattered for what
// was known then.
//
//   loss + strength / 2 * sum over i of F[i] (w[i] - anchor[i])^2
//
// F is the diagonal of the Fisher information per token, so that with strength 1 what was known
// weighs as much as what is learnt: the loss is a mean over tokens, too.
#pragma once

#include "base/random.hpp"
#include "model/training/training_pass.hpp"

namespace troupe::model {

// Squares of the gradients of whole documents, summed over documents in their order.
template <class T>
class importance_sums {
public:
  explicit importance_sums(const parameter_map& map)
      : map_(&map), totals_(map.scalars), gradients_(map) {}

  // The targets of `labelled` are labels drawn from the model itself; only then is what comes out
  // the Fisher information. Its tokens' gradients are added up before they are squared.
  status add(compute::training_kernels<T>& device, training_pass<T>& pass,
             const parameter_values<T>& values, std::span<const std::vector<float>> corrections,
             const training_document& labelled);
  uint64_t documents() const { return documents_; }

  // Per token: an expert's own tensors are divided by the rows that chose it, so that a rare expert
  // is not taken for one without importance; all others by all tokens. Ends the sums.
  std::vector<T> finish(compute::training_kernels<T>& device);

private:
  const parameter_map* map_;
  std::vector<T> totals_;
  parameter_gradients<T> gradients_;
  uint64_t documents_ = 0;
  uint64_t tokens_ = 0;
  std::vector<std::vector<uint64_t>> expert_rows_;
};

// A token from the softmax of the logits; `unit` is uniform in [0, 1).
template <class T>
int32_t draw_label(std::span<const T> logits, T unit);

struct importance_options {
  uint32_t draws = 1; // of labels for each document
  uint64_t seed = 1;
};

// Adds all documents under labels drawn by the model. A draw depends on the seed, the number of the
// document, of the draw and of the row alone.
template <class T>
status measure_importance(compute::training_kernels<T>& device, training_pass<T>& pass,
                          const parameter_values<T>& values,
                          std::span<const std::vector<float>> corrections,
                          std::span<const training_document> documents,
                          const importance_options& options, importance_sums<T>& sums);

struct anchor_options {
  double strength = 0;
  double decay = 1; // of the importance known before, when the anchor is set anew
};

template <class T>
class weight_anchor {
public:
  weight_anchor(const parameter_map& map, const anchor_options& options)
      : map_(&map), options_(options), anchor_(map.scalars), importance_(map.scalars) {}

  // Anchors at these values; importance becomes decay * importance + fresh.
  void renew(compute::training_kernels<T>& device, const parameter_values<T>& values,
             std::span<const T> fresh);
  // Adds the gradient of the penalty.
  void pull(compute::training_kernels<T>& device, const parameter_values<T>& values,
            parameter_gradients<T>& gradients) const;
  double penalty(const parameter_values<T>& values) const;

  const parameter_map& map() const { return *map_; }
  std::span<T> anchor() { return anchor_; }
  std::span<T> importance() { return importance_; }
  std::span<const T> importance() const { return importance_; }

private:
  const parameter_map* map_;
  const anchor_options options_;
  std::vector<T> anchor_, importance_;
};

} // namespace troupe::model
