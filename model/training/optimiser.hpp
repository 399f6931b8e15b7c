// AdamW over all parameters of a map, or over those of one part.
#pragma once

#include "model/training/parameter_choice.hpp"

#include <utility>

namespace troupe::model {

struct adamw_options {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
  bool decay_vectors = false; // norms and biases, too
};

// Sum of squares of each parameter's gradient, added up in the order of the map: a parameter lies
// on one node, so the norm does not depend on which. What is frozen is left out.
template <class T>
double squared_norm(compute::training_kernels<T>& device, const parameter_map& map,
                    const parameter_gradients<T>& gradients, const parameter_set& frozen = {});

template <class T>
class adamw_optimiser {
public:
  // Frozen parameters keep their bits: neither momentum nor decay moves them. They have no moments.
  adamw_optimiser(const parameter_map& map, const adamw_options& options,
                  parameter_set frozen = {});

  // Values change; who uses them has to refresh them. `factor` is the clipping's.
  void step(compute::training_kernels<T>& device, parameter_values<T>& values,
            const parameter_gradients<T>& gradients, double rate, double factor);

  uint64_t steps() const { return steps_; }
  void set_steps(uint64_t steps) { steps_ = steps; }
  // Moments of a parameter; empty for a frozen one.
  std::span<T> first_of(parameter_id id) { return moments_of(first_, id); }
  std::span<T> second_of(parameter_id id) { return moments_of(second_, id); }

private:
  std::span<T> moments_of(std::vector<T>& all, parameter_id id) const {
    const size_t count = frozen_.has(id) ? 0 : (*map_)[id].count();
    return std::span(all).subspan(begins_[id], count);
  }

  const parameter_map* map_;
  const adamw_options options_;
  const parameter_set frozen_;
  std::vector<size_t> begins_; // of each parameter's moments
  std::vector<T> first_, second_;
  uint64_t steps_ = 0;
};

} // namespace troupe::model
