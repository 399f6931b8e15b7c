// Several products of one input, forward and backward.
#pragma once

#include "model/training/layer_steps.hpp"

#include <initializer_list>

namespace troupe::model {

// A matrix, its bias if any, and its output or the gradient of it.
template <class T>
struct projection {
  parameter_id weight = no_parameter;
  parameter_id bias = no_parameter;
  compute::matrix_of<T> rows;
};

template <class T>
void project(const training_context<T>& at, const compute::matrix_of<const T>& x,
             std::initializer_list<projection<T>> projections) {
  std::vector<compute::linear_args<T>> parts;
  for (const auto& each : projections) {
    parts.push_back({.x = x,
                     .w = at.values.weight(each.weight),
                     .bias = at.values.vector(each.bias),
                     .residual = {},
                     .y = each.rows});
  }
  at.device.linear(parts);
}

// Gradients of the weights and biases; dx gets the sum over the projections in their order, on top
// of what it holds with `add`.
template <class T>
void project_backward(const training_context<T>& at, const compute::matrix_of<const T>& x,
                      std::initializer_list<projection<T>> projections,
                      const compute::matrix_of<T>& dx, bool add) {
  std::vector<compute::weight_gradient_args<T>> weights;
  for (const auto& each : projections) {
    weights.push_back({.dy = each.rows, .x = x, .dw = at.gradients->matrix(each.weight)});
    if (each.bias != no_parameter)
      at.device.bias_gradient({.dy = each.rows, .total = at.gradients->vector(each.bias)});
  }
  at.device.weight_gradient(weights);
  for (const auto& each : projections) {
    const compute::input_gradient_args<T> part{
        .dy = each.rows, .w = at.values.weight(each.weight), .add = add, .dx = dx};
    at.device.input_gradient({&part, 1});
    add = true;
  }
}

} // namespace troupe::model
