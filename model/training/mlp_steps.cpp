// Dense MLP, shared and routed experts, router, and their gradients.
#include "base/check.hpp"
#include "model/training/layer_steps.hpp"
#include "model/training/products.hpp"

#include <algorithm>

namespace troupe::model {
namespace {

using compute::matrix_of;

// tape.inner := activation(gate(x)) * up(x).
template <class T>
void mlp_inner(const training_context<T>& at, const mlp_parameters& ids,
               const matrix_of<const T>& x, mlp_tape<T>& tape) {
  const uint32_t inner = at.map()[ids.gate].rows;
  const auto gate = tape.gate.shape(x.rows, inner), up = tape.up.shape(x.rows, inner);
  project<T>(at, x, {{ids.gate, ids.gate_bias, gate}, {ids.up, ids.up_bias, up}});
  at.device.gated(
      {.kind = at.model.activation, .gate = gate, .up = up, .y = tape.inner.shape(x.rows, inner)});
}

template <class T>
void mlp_down(const training_context<T>& at, const mlp_parameters& ids, const mlp_tape<T>& tape,
              const matrix_of<const T>& residual, const matrix_of<T>& result) {
  const compute::linear_args<T> down{.x = tape.inner.view(),
                                     .w = at.values.weight(ids.down),
                                     .bias = at.values.vector(ids.down_bias),
                                     .residual = residual,
                                     .y = result};
  at.device.linear({&down, 1});
}

template <class T>
void mlp_backward(const training_context<T>& at, const mlp_parameters& ids,
                  const matrix_of<const T>& x, const mlp_tape<T>& tape,
                  const matrix_of<const T>& dresult, const matrix_of<T>& dx, bool add,
                  backward_scratch<T>& scratch) {
  const uint32_t inner = tape.inner.view().cols;
  const auto dinner = scratch.inner.shape(x.rows, inner);
  const auto dgate = scratch.gate.shape(x.rows, inner), dup = scratch.up.shape(x.rows, inner);
  const compute::weight_gradient_args<T> weight{
      .dy = dresult, .x = tape.inner.view(), .dw = at.gradients->matrix(ids.down)};
  const compute::input_gradient_args<T> input{
      .dy = dresult, .w = at.values.weight(ids.down), .add = false, .dx = dinner};
  at.device.weight_gradient({&weight, 1});
  at.device.input_gradient({&input, 1});
  if (ids.down_bias != no_parameter)
    at.device.bias_gradient({.dy = dresult, .total = at.gradients->vector(ids.down_bias)});
  at.device.gated_backward({.kind = at.model.activation,
                            .gate = tape.gate.view(),
                            .up = tape.up.view(),
                            .dy = dinner,
                            .dgate = dgate,
                            .dup = dup});
  project_backward<T>(at, x, {{ids.gate, ids.gate_bias, dgate}, {ids.up, ids.up_bias, dup}}, dx,
                      add);
}

// ---- routed experts: one product for all that have rows ----

template <class T>
matrix_of<T> run_of(const matrix_of<T>& rows, const expert_group& group) {
  return rows.rows_at(group.begin, group.end - group.begin);
}

template <class T>
void routed_forward(const training_context<T>& at, uint32_t layer, experts_tape<T>& tape) {
  const auto& ids = at.map().layers[layer].experts;
  const uint32_t slots = static_cast<uint32_t>(tape.grouping.rows.size());
  const uint32_t inner = at.model.layers[layer].moe.inner;
  const auto input = tape.input.view();
  const auto gate = tape.routed.gate.shape(slots, inner), up = tape.routed.up.shape(slots, inner);
  const auto product = tape.routed.inner.shape(slots, inner);
  const auto output = tape.output.shape(slots, at.model.hidden);
  const auto all = [&](const matrix_of<T>& x, const matrix_of<T>& y,
                       parameter_id mlp_parameters::*which,
                       std::vector<compute::linear_args<T>>& parts) {
    for (const auto& group : tape.grouping.groups) {
      parts.push_back({.x = run_of(x, group),
                       .w = at.values.weight(ids[group.expert].*which),
                       .bias = {},
                       .residual = {},
                       .y = run_of(y, group)});
    }
  };
  std::vector<compute::linear_args<T>> parts;
  all(input, gate, &mlp_parameters::gate, parts);
  all(input, up, &mlp_parameters::up, parts);
  at.device.linear(parts);
  at.device.gated({.kind = at.model.activation, .gate = gate, .up = up, .y = product});
  parts.clear();
  all(product, output, &mlp_parameters::down, parts);
  at.device.linear(parts);
}

// dinput := gradient of the experts' input rows.
template <class T>
void routed_backward(const training_context<T>& at, uint32_t layer, const experts_tape<T>& tape,
                     const matrix_of<T>& doutput, const matrix_of<T>& dinput,
                     backward_scratch<T>& scratch) {
  const auto& ids = at.map().layers[layer].experts;
  const uint32_t slots = doutput.rows, inner = at.model.layers[layer].moe.inner;
  const auto dinner = scratch.inner.shape(slots, inner);
  const auto dgate = scratch.gate.shape(slots, inner), dup = scratch.up.shape(slots, inner);
  const auto all = [&](const matrix_of<T>& x, const matrix_of<T>& dy, const matrix_of<T>& dx,
                       bool add, parameter_id mlp_parameters::*which) {
    std::vector<compute::weight_gradient_args<T>> weights;
    std::vector<compute::input_gradient_args<T>> inputs;
    for (const auto& group : tape.grouping.groups) {
      const parameter_id id = ids[group.expert].*which;
      weights.push_back(
          {.dy = run_of(dy, group), .x = run_of(x, group), .dw = at.gradients->matrix(id)});
      inputs.push_back({.dy = run_of(dy, group),
                        .w = at.values.weight(id),
                        .add = add,
                        .dx = run_of(dx, group)});
    }
    at.device.weight_gradient(weights);
    at.device.input_gradient(inputs);
  };
  all(tape.routed.inner.view(), doutput, dinner, false, &mlp_parameters::down);
  at.device.gated_backward({.kind = at.model.activation,
                            .gate = tape.routed.gate.view(),
                            .up = tape.routed.up.view(),
                            .dy = dinner,
                            .dgate = dgate,
                            .dup = dup});
  all(tape.input.view(), dgate, dinput, false, &mlp_parameters::gate);
  all(tape.input.view(), dup, dinput, true, &mlp_parameters::up);
}

// ---- the shared expert ----

template <class T>
void shared_forward(const training_context<T>& at, const router_parameters& ids,
                    const matrix_of<const T>& x, experts_tape<T>& tape) {
  mlp_inner(at, ids.shared, x, tape.shared);
  const bool gated = ids.shared_gate != no_parameter;
  const auto output = tape.shared_output.shape(x.rows, at.model.hidden);
  const auto raw = gated ? tape.shared_raw.shape(x.rows, at.model.hidden) : output;
  mlp_down<T>(at, ids.shared, tape.shared, {}, raw);
  if (!gated) return;
  const auto gate = tape.shared_gate.shape(x.rows, 1);
  project<T>(at, x, {{ids.shared_gate, no_parameter, gate}});
  at.device.gate_rows({.x = raw, .gate = gate, .y = output});
}

// Adds to dx.
template <class T>
void shared_backward(const training_context<T>& at, const router_parameters& ids,
                     const matrix_of<const T>& x, const experts_tape<T>& tape,
                     const matrix_of<const T>& dresult, const matrix_of<T>& dx,
                     backward_scratch<T>& scratch) {
  matrix_of<const T> dshared = dresult;
  if (ids.shared_gate != no_parameter) {
    const auto draw = scratch.shared.shape(x.rows, at.model.hidden);
    const auto dgate = scratch.shared_gate.shape(x.rows, 1);
    at.device.gate_rows_backward({.x = tape.shared_raw.view(),
                                  .gate = tape.shared_gate.view(),
                                  .dy = dresult,
                                  .dx = draw,
                                  .dgate = dgate});
    project_backward<T>(at, x, {{ids.shared_gate, no_parameter, dgate}}, dx, true);
    dshared = draw;
  }
  mlp_backward(at, ids.shared, x, tape.shared, dshared, dx, true, scratch);
}

} // namespace

template <class T>
void dense_forward(const training_context<T>& at, uint32_t layer, const matrix_of<const T>& input,
                   const matrix_of<const T>& hidden, mlp_tape<T>& tape,
                   const matrix_of<T>& result) {
  TROUPE_CHECK(at.model.residual_multiplier == 1); // as serving: model/layers.cpp
  const auto& ids = at.map().layers[layer].dense;
  mlp_inner(at, ids, input, tape);
  mlp_down(at, ids, tape, hidden, result);
}

template <class T>
void dense_backward(const training_context<T>& at, uint32_t layer, const matrix_of<const T>& input,
                    const mlp_tape<T>& tape, const matrix_of<const T>& dresult,
                    const matrix_of<T>& dinput, backward_scratch<T>& scratch) {
  mlp_backward(at, at.map().layers[layer].dense, input, tape, dresult, dinput, false, scratch);
}

template <class T>
void experts_forward(const training_context<T>& at, uint32_t layer,
                     std::span<const float> correction, const matrix_of<const T>& input,
                     const matrix_of<const T>& hidden, experts_tape<T>& tape,
                     const matrix_of<T>& result) {
  const auto& moe = at.model.layers[layer].moe;
  const auto& ids = at.map().layers[layer].router;
  const uint32_t rows = input.rows;
  const auto logits = tape.logits.shape(rows, moe.rule.experts);
  tape.ids.resize(size_t{rows} * moe.rule.top_k);
  tape.weights.resize(tape.ids.size());
  project<T>(at, input, {{ids.gate, no_parameter, logits}});
  at.device.choose({.rule = moe.rule,
                    .logits = logits,
                    .bias = correction,
                    .ids = tape.ids,
                    .weights = tape.weights});
  tape.grouping = group_by_expert(tape.ids, moe.rule.top_k, moe.rule.experts);
  const auto slots = static_cast<uint32_t>(tape.ids.size());
  at.device.gather_rows(
      {.x = input, .rows = tape.grouping.rows, .y = tape.input.shape(slots, at.model.hidden)});
  routed_forward(at, layer, tape);
  matrix_of<const T> shared;
  if (moe.shared.inner > 0) {
    shared_forward(at, ids, input, tape);
    shared = tape.shared_output.view();
  }
  at.device.combine_rows({.expert_rows = tape.output.view(),
                          .slots = tape.grouping.slots,
                          .weights = tape.weights,
                          .top_k = moe.rule.top_k,
                          .shared = shared,
                          .residual = hidden,
                          .y = result});
}

template <class T>
void experts_backward(const training_context<T>& at, uint32_t layer,
                      const matrix_of<const T>& input, const experts_tape<T>& tape,
                      const matrix_of<const T>& dresult, const matrix_of<T>& dinput,
                      backward_scratch<T>& scratch) {
  const auto& moe = at.model.layers[layer].moe;
  const auto& ids = at.map().layers[layer].router;
  const auto slots = static_cast<uint32_t>(tape.ids.size());
  const auto doutput = scratch.expert_output.shape(slots, at.model.hidden);
  const auto dslots = scratch.expert_input.shape(slots, at.model.hidden);
  scratch.weights.resize(tape.ids.size());
  at.device.combine_backward({.expert_rows = tape.output.view(),
                              .slots = tape.grouping.slots,
                              .weights = tape.weights,
                              .top_k = moe.rule.top_k,
                              .dy = dresult,
                              .dexpert_rows = doutput,
                              .dweights = scratch.weights});
  const auto dlogits = scratch.logits.shape(input.rows, moe.rule.experts);
  at.device.choose_backward({.rule = moe.rule,
                             .logits = tape.logits.view(),
                             .ids = tape.ids,
                             .dweights = scratch.weights,
                             .dlogits = dlogits});
  project_backward<T>(at, input, {{ids.gate, no_parameter, dlogits}}, dinput, false);
  if (moe.shared.inner > 0) shared_backward(at, ids, input, tape, dresult, dinput, scratch);
  routed_backward(at, layer, tape, doutput, dslots, scratch);
  at.device.gather_backward(
      {.dslots = dslots, .slots = tape.grouping.slots, .top_k = moe.rule.top_k, .dx = dinput});
}

#define TROUPE_INSTANTIATE(T)                                                                      \
  template void dense_forward<T>(const training_context<T>&, uint32_t, const matrix_of<const T>&,  \
                                 const matrix_of<const T>&, mlp_tape<T>&, const matrix_of<T>&);    \
  template void dense_backward<T>(const training_context<T>&, uint32_t, const matrix_of<const T>&, \
                                  const mlp_tape<T>&, const matrix_of<const T>&,                   \
                                  const matrix_of<T>&, backward_scratch<T>&);                      \
  template void experts_forward<T>(const training_context<T>&, uint32_t, std::span<const float>,   \
                                   const matrix_of<const T>&, const matrix_of<const T>&,           \
                                   experts_tape<T>&, const matrix_of<T>&);                         \
  template void experts_backward<T>(                                                               \
      const training_context<T>&, uint32_t, const matrix_of<const T>&, const experts_tape<T>&,     \
      const matrix_of<const T>&, const matrix_of<T>&, backward_scratch<T>&);
TROUPE_INSTANTIATE(float)
TROUPE_INSTANTIATE(double)
#undef TROUPE_INSTANTIATE

} // namespace troupe::model
