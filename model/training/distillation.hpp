// Distillation: a teacher that is not trained sees the same rows, and the student is drawn to what
// it says.
//
//   loss + weight * mean T^2 KL(softmax(teacher / T) || softmax(student / T))
//        + hidden_weight / 2 * mean square of (student's - teacher's final normed rows)
#pragma once

#include "model/training/training_pass.hpp"

namespace troupe::model {

struct distillation_options {
  double weight = 1;
  double temperature = 2;
  double hidden_weight = 0; // not 0: the teacher has to be as wide as the student
};

template <class T>
class teacher {
public:
  // Values and corrections are the caller's to fill, and the values to refresh.
  teacher(description model, const pass_options& pass, const distillation_options& options);

  teacher(const teacher&) = delete;
  teacher& operator=(const teacher&) = delete;

  const description& model() const { return model_; }
  const parameter_map& map() const { return map_; }
  parameter_values<T>& values() { return values_; }
  std::vector<std::vector<float>>& corrections() { return corrections_; }

  // What it thinks of these documents: for a call of the student's pass over the same ones, valid
  // until the next.
  result<lesson<T>> look_at(compute::training_kernels<T>& device,
                            std::span<const training_document> documents);

private:
  const description model_;
  const distillation_options options_;
  const parameter_map map_;
  parameter_values<T> values_;
  std::vector<std::vector<float>> corrections_;
  training_pass<T> pass_;
};

} // namespace troupe::model
