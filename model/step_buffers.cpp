// Sizes of all step buffers, and one allocation behind them.
#include "model/step_buffers.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <numeric>

namespace troupe::model {
namespace {

// The widest use of each buffer over all layers.
struct widths {
  uint32_t q_rank = 0, q = 0, q_absorbed = 0, keys = 0, values = 0, attended_rank = 0, attended = 0;
  uint32_t mlp = 0, expert = 0, experts = 0, top_k = 0, latent_heads = 0;
  bool shared = false, shared_gate = false;

  void add(const attention_spec& attention) {
    q = std::max(q, attention.query_width());
    attended = std::max(attended, attention.output_width());
    keys = std::max(keys, attention.kv_heads * attention.key_dim());
    if (attention.kind == attention_kind::gqa) {
      values = std::max(values, attention.kv_heads * attention.value_dim);
      return;
    }
    latent_heads = std::max(latent_heads, attention.heads);
    q_rank = std::max(q_rank, attention.q_rank);
    q_absorbed = std::max(q_absorbed, attention.heads * attention.key_dim());
    attended_rank = std::max(attended_rank, attention.heads * attention.kv_rank);
  }

  void add(const layer_spec& layer) {
    add(layer.attention);
    mlp = std::max({mlp, layer.dense.inner, layer.moe.shared.inner});
    experts = std::max(experts, layer.moe.rule.experts);
    top_k = std::max(top_k, layer.moe.rule.top_k);
    expert = std::max(expert, layer.moe.inner);
    shared = shared || layer.moe.shared.inner > 0;
    shared_gate = shared_gate || layer.moe.shared_gate;
  }
};

struct planned_view {
  matrix_view* view;
  uint64_t rows;
  uint32_t cols;
};

// Every view starts on a cache line; rows lie next to each other.
uint64_t floats_of(const planned_view& plan) {
  constexpr uint64_t line = compute::buffer::alignment / sizeof(float);
  return (plan.rows * plan.cols + line - 1) / line * line;
}

} // namespace

result<step_buffers> make_step_buffers(const description& model, const step_limits& limits,
                                       compute::executor& executor) {
  TROUPE_CHECK(limits.rows_max > 0);
  widths width;
  for (const auto& layer : model.layers) width.add(layer);
  step_buffers out;
  out.limits = limits;
  const uint64_t rows = limits.rows_max, expert_rows = rows * width.top_k;
  const std::vector<planned_view> plans = {
      {&out.hidden, rows, model.hidden},
      {&out.normed, rows, model.hidden},
      {&out.q_rank, rows, width.q_rank},
      {&out.q, rows, width.q},
      {&out.q_absorbed, rows, width.q_absorbed},
      {&out.keys, rows, width.keys},
      {&out.values, rows, width.values},
      {&out.attended_rank, rows, width.attended_rank},
      {&out.attended, rows, width.attended},
      {&out.mlp_gate, rows, width.mlp},
      {&out.mlp_up, rows, width.mlp},
      {&out.shared, rows, width.shared ? model.hidden : 0},
      {&out.shared_gate, rows, width.shared_gate ? 1u : 0u},
      {&out.router_logits, rows, width.experts},
      {&out.expert_input, expert_rows, model.hidden},
      {&out.expert_gate, expert_rows, width.expert},
      {&out.expert_up, expert_rows, width.expert},
      {&out.expert_output, expert_rows, model.hidden},
      {&out.head_input, limits.logit_rows_max, model.hidden},
      {&out.logits, limits.logit_rows_max, model.vocabulary},
  };
  uint64_t floats = 0;
  for (const auto& plan : plans) floats += floats_of(plan);
  auto memory = executor.allocate(floats * sizeof(float));
  if (!memory) return fail(memory.error().within("step buffers"));
  out.memory = std::move(*memory);
  float* next = out.memory.as<float>().data();
  for (const auto& plan : plans) {
    *plan.view = {.data = next,
                  .rows = static_cast<uint32_t>(plan.rows),
                  .cols = plan.cols,
                  .stride = plan.cols};
    next += floats_of(plan);
  }
  out.expert_ids.resize(expert_rows);
  out.expert_scores.resize(expert_rows);
  out.products.reserve(std::max(4u, 2 * width.experts));
  out.every_head.resize(rows * width.latent_heads);
  std::iota(out.every_head.begin(), out.every_head.end(), 0u);
  return out;
}

} // namespace troupe::model
