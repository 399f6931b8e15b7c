// LoRA: chosen matrices become W = start + (alpha / rank) * B A, and only the factors are trained.
//
// A [rank, inputs] begins uniform in +-1/sqrt(inputs), B [outputs, rank] with zeros, so that the
// first outputs are those of the base. Between steps the model's own values are the merged ones:
// everything else computes as ever, and what is written merged has the bits that were trained.
#pragma once

#include "model/training/optimiser.hpp"

namespace troupe::model {

struct low_rank_options {
  uint32_t rank = 8;
  double alpha = 8;
  uint64_t seed = 1; // of A
};

// Fails when a target is no matrix with a product of its own: a vector, the embedding.
status check_low_rank_targets(const parameter_map& base, const parameter_set& targets);

template <class T>
class low_rank_adapters {
public:
  // `base` must outlive the adapters; its values at `start` are what adapters are added to.
  low_rank_adapters(const parameter_map& base, const parameter_set& targets,
                    const low_rank_options& options, const adamw_options& optimiser,
                    const parameter_values<T>& start);

  // Of the factors, from the summed gradients of the matrices.
  void compute_gradients(compute::training_kernels<T>& device, const parameter_gradients<T>& base);
  double squared_norm(compute::training_kernels<T>& device) const;
  // A step of the optimiser on the factors, and the matrices that follow from them. Who uses the
  // base values has to refresh them.
  void step(compute::training_kernels<T>& device, parameter_values<T>& base, double rate,
            double factor);
  // Has to follow every other change of the factors.
  void merge(compute::training_kernels<T>& device, parameter_values<T>& base);

  // The factors as parameters of their own, under the names of PEFT: of each target A, then B.
  const parameter_map& map() const { return map_; }
  parameter_values<T>& factors() { return factors_; }
  const parameter_values<T>& factors() const { return factors_; }
  parameter_gradients<T>& gradients() { return gradients_; }
  adamw_optimiser<T>& optimiser() { return optimiser_; }
  // Values of the targets without adapters, one after another.
  std::span<const T> start() const { return start_; }
  std::span<T> start() { return start_; }
  const std::vector<parameter_id>& targets() const { return targets_; }

private:
  const parameter_map& base_;
  const std::vector<parameter_id> targets_; // ascending; factors 2i and 2i + 1 belong to target i
  const T scale_;
  const parameter_map map_;
  parameter_values<T> factors_;
  parameter_gradients<T> gradients_;
  adamw_optimiser<T> optimiser_;
  std::vector<T> start_;
};

} // namespace troupe::model
