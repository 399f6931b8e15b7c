// The mathematics of a decoder as calls on the kernels of a device, for use inside executor jobs.
// No function keeps state or allocates; all of them work on the first step.count() rows of the
// buffers.
//
// A step is: embed_rows; then per layer attention_block and either dense_block or (router_choice,
// gather_expert_input, experts_forward, shared_expert, combine_experts); then head_logits.
#pragma once

#include "model/rotary.hpp"
#include "model/step_buffers.hpp"
#include "model/weights.hpp"

namespace troupe::model {

// What the attention stage of a layer works on.
struct attention_context {
  const description* model = nullptr;
  uint32_t layer = 0;
  const attention_weights* weights = nullptr;
  const step_rows* rows = nullptr;
  rotary_view rotary;
  compute::kv_view kv; // this layer's pages
  step_buffers* buffers = nullptr;
};

// hidden := the rows of the embedding table.
void embed_rows(compute::kernels& device, const description& model, const weight_matrix& table,
                const step_rows& rows, step_buffers& buffers);

// Stores keys and values, hidden += attention(norm(hidden)), normed := post-norm of hidden.
void attention_block(compute::kernels& device, const attention_context& context);

// hidden += mlp(normed) of a layer without experts.
void dense_block(compute::kernels& device, const description& model,
                 const dense_mlp_weights& weights, uint32_t rows, step_buffers& buffers);

// expert_ids and expert_scores := the choice of each row of normed.
void router_choice(compute::kernels& device, const moe_spec& moe, const router_weights& weights,
                   uint32_t rows, step_buffers& buffers);

// shared := the expert that every row of normed visits. Nothing when the layer has none.
void shared_expert(compute::kernels& device, const description& model,
                   const router_weights& weights, uint32_t rows, step_buffers& buffers);

// expert_input[slot] := normed[row_of_slot[slot]].
void gather_expert_input(compute::kernels& device, std::span<const uint32_t> row_of_slot,
                         step_buffers& buffers);

// Slots [begin, end) of the sorted rows belong to this expert.
struct expert_run {
  const expert_weights* weights = nullptr;
  uint32_t begin = 0;
  uint32_t end = 0;
};

// expert_output := the experts on their runs of expert_input. The runs are non-empty, ascend and
// adjoin.
void experts_forward(compute::kernels& device, const description& model,
                     std::span<const expert_run> runs, step_buffers& buffers);

// hidden += weighted sum over the row's experts in routing order (+ shared expert). `slots`: [rows,
// top_k], where each choice stands in expert_output.
void combine_experts(compute::kernels& device, const moe_spec& moe, std::span<const uint32_t> slots,
                     uint32_t rows, step_buffers& buffers);

// logits := those of the given rows of hidden, in that order.
void head_logits(compute::kernels& device, const description& model, const head_weights& weights,
                 const weight_matrix& table, std::span<const uint32_t> rows, step_buffers& buffers);

} // namespace troupe::model
