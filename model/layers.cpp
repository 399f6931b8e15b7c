// Embedding, MLPs, routing, experts and head.
#include "model/layers.hpp"

#include "base/check.hpp"

namespace troupe::model {
namespace {

using compute::kernels;

// The first rows of a buffer that may be wider than needed here.
matrix_view cut(const matrix_view& whole, uint32_t rows, uint32_t cols) {
  return whole.first_rows(rows).columns(0, cols);
}

// activation(gate(x)) * up(x), left in mlp_gate.
matrix_view mlp_inner(kernels& device, compute::activation activation,
                      const dense_mlp_weights& weights, uint32_t rows, step_buffers& buffers) {
  const uint32_t inner = weights.gate.outputs();
  const auto normed = buffers.normed.first_rows(rows);
  const auto gate = cut(buffers.mlp_gate, rows, inner), up = cut(buffers.mlp_up, rows, inner);
  auto& products = buffers.products;
  products.clear();
  products.push_back(
      {.x = normed, .w = &weights.gate, .bias = weights.gate_bias, .residual = {}, .y = gate});
  products.push_back(
      {.x = normed, .w = &weights.up, .bias = weights.up_bias, .residual = {}, .y = up});
  device.grouped_matmul({.parts = products});
  device.gated_activation({.kind = activation, .gate = gate, .up = up, .y = gate});
  return gate;
}

} // namespace

void embed_rows(kernels& device, const description& model, const weight_matrix& table,
                const step_rows& rows, step_buffers& buffers) {
  TROUPE_CHECK(rows.count() <= buffers.limits.rows_max);
  device.enter(compute::part::embedding);
  const auto hidden = buffers.hidden.first_rows(rows.count());
  device.embed({.table = &table, .ids = rows.tokens, .y = hidden});
  if (model.embedding_multiplier != 1) {
    device.scale({.x = hidden, .factor = model.embedding_multiplier, .y = hidden});
  }
}

void dense_block(kernels& device, const description& model, const dense_mlp_weights& weights,
                 uint32_t rows, step_buffers& buffers) {
  // Only families without dense layers scale what a block adds (and there the router's weights do
  // it).
  TROUPE_CHECK(model.residual_multiplier == 1);
  device.enter(compute::part::experts);
  const auto inner = mlp_inner(device, model.activation, weights, rows, buffers);
  const auto hidden = buffers.hidden.first_rows(rows);
  device.matmul(
      {.x = inner, .w = &weights.down, .bias = weights.down_bias, .residual = hidden, .y = hidden});
}

void router_choice(kernels& device, const moe_spec& moe, const router_weights& weights,
                   uint32_t rows, step_buffers& buffers) {
  device.enter(compute::part::router);
  const auto logits = cut(buffers.router_logits, rows, moe.rule.experts);
  const size_t choices = size_t{rows} * moe.rule.top_k;
  device.matmul({.x = buffers.normed.first_rows(rows),
                 .w = &weights.gate,
                 .bias = {},
                 .residual = {},
                 .y = logits});
  device.route({.rule = moe.rule,
                .logits = logits,
                .bias = weights.correction,
                .ids = std::span(buffers.expert_ids).first(choices),
                .weights = std::span(buffers.expert_scores).first(choices)});
}

void shared_expert(kernels& device, const description& model, const router_weights& weights,
                   uint32_t rows, step_buffers& buffers) {
  if (weights.shared.gate.empty()) return;
  device.enter(compute::part::experts);
  const auto inner = mlp_inner(device, model.activation, weights.shared, rows, buffers);
  const auto shared = buffers.shared.first_rows(rows);
  device.matmul({.x = inner,
                 .w = &weights.shared.down,
                 .bias = weights.shared.down_bias,
                 .residual = {},
                 .y = shared});
  if (weights.shared_gate.empty()) return;
  const auto gate = buffers.shared_gate.first_rows(rows);
  device.matmul({.x = buffers.normed.first_rows(rows),
                 .w = &weights.shared_gate,
                 .bias = {},
                 .residual = {},
                 .y = gate});
  device.sigmoid_gate({.x = shared, .gate = gate, .y = shared});
}

void gather_expert_input(kernels& device, std::span<const uint32_t> row_of_slot,
                         step_buffers& buffers) {
  device.enter(compute::part::experts);
  const auto count = static_cast<uint32_t>(row_of_slot.size());
  TROUPE_CHECK(count <= buffers.expert_input.rows);
  device.gather(
      {.x = buffers.normed, .rows = row_of_slot, .y = buffers.expert_input.first_rows(count)});
}

void experts_forward(kernels& device, const description& model, std::span<const expert_run> runs,
                     step_buffers& buffers) {
  if (runs.empty()) return;
  device.enter(compute::part::experts);
  auto& products = buffers.products;
  const uint32_t inner = runs.front().weights->gate.outputs();
  const auto run_rows = [](const matrix_view& view, const expert_run& run) {
    return view.rows_at(run.begin, run.end - run.begin);
  };
  products.clear();
  for (const auto& run : runs) {
    const auto input = run_rows(buffers.expert_input, run);
    products.push_back({.x = input,
                        .w = &run.weights->gate,
                        .bias = {},
                        .residual = {},
                        .y = run_rows(buffers.expert_gate, run).columns(0, inner)});
    products.push_back({.x = input,
                        .w = &run.weights->up,
                        .bias = {},
                        .residual = {},
                        .y = run_rows(buffers.expert_up, run).columns(0, inner)});
  }
  device.grouped_matmul({.parts = products});
  const uint32_t begin = runs.front().begin, count = runs.back().end - begin;
  const auto gate = buffers.expert_gate.rows_at(begin, count).columns(0, inner);
  const auto up = buffers.expert_up.rows_at(begin, count).columns(0, inner);
  device.gated_activation({.kind = model.activation, .gate = gate, .up = up, .y = gate});
  products.clear();
  for (const auto& run : runs) {
    products.push_back({.x = run_rows(buffers.expert_gate, run).columns(0, inner),
                        .w = &run.weights->down,
                        .bias = {},
                        .residual = {},
                        .y = run_rows(buffers.expert_output, run)});
  }
  device.grouped_matmul({.parts = products});
}

void combine_experts(kernels& device, const moe_spec& moe, std::span<const uint32_t> slots,
                     uint32_t rows, step_buffers& buffers) {
  device.enter(compute::part::experts);
  const size_t choices = size_t{rows} * moe.rule.top_k;
  TROUPE_CHECK(slots.size() == choices);
  const auto hidden = buffers.hidden.first_rows(rows);
  compute::const_matrix_view shared;
  if (moe.shared.inner > 0) shared = buffers.shared.first_rows(rows);
  device.combine({.expert_rows = buffers.expert_output,
                  .slots = slots,
                  .weights = std::span(buffers.expert_scores).first(choices),
                  .top_k = moe.rule.top_k,
                  .shared = shared,
                  .residual = hidden,
                  .y = hidden});
}

void head_logits(kernels& device, const description& model, const head_weights& weights,
                 const weight_matrix& table, std::span<const uint32_t> rows,
                 step_buffers& buffers) {
  const auto count = static_cast<uint32_t>(rows.size());
  if (count == 0) return;
  device.enter(compute::part::head);
  TROUPE_CHECK(count <= buffers.limits.logit_rows_max);
  const auto input = buffers.head_input.first_rows(count),
             logits = buffers.logits.first_rows(count);
  device.gather({.x = buffers.hidden, .rows = rows, .y = input});
  device.rms_norm({.x = input, .gain = weights.norm, .eps = model.norm_eps, .y = input});
  device.matmul({.x = input, .w = &table, .bias = {}, .residual = {}, .y = logits});
  if (model.logits_multiplier != 1) {
    device.scale({.x = logits, .factor = model.logits_multiplier, .y = logits});
  }
}

} // namespace troupe::model
