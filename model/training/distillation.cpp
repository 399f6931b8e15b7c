// The teacher's forward pass; its head is computed chunk by chunk beside the student's (end_steps).
#include "model/training/distillation.hpp"

#include <utility>

namespace troupe::model {

// Nothing of its layers is needed again: their activations share one tape.
template <class T>
teacher<T>::teacher(description model, const pass_options& pass,
                    const distillation_options& options)
    : model_(std::move(model)),
      options_(options),
      map_(map_parameters(model_)),
      values_(map_),
      corrections_(model_.layers.size()),
      pass_(model_, {.recompute = true, .head_rows = pass.head_rows}) {}

template <class T>
result<lesson<T>> teacher<T>::look_at(compute::training_kernels<T>& device,
                                      std::span<const training_document> documents) {
  const auto hidden = pass_.hidden(device, {values_, corrections_, nullptr}, documents);
  if (!hidden) return fail(hidden.error());
  return lesson<T>{.model = &model_,
                   .values = &values_,
                   .hidden = *hidden,
                   .weight = T(options_.weight),
                   .temperature = T(options_.temperature),
                   .hidden_weight = T(options_.hidden_weight)};
}

template class teacher<float>;
template class teacher<double>;

} // namespace troupe::model
