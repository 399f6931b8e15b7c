// Attention of one layer: grouped queries, or the latent kind in its absorbed form.
#include "model/layers.hpp"

#include "base/check.hpp"

namespace troupe::model {
namespace {

using compute::kernels;
using compute::matmul_args;

// The pieces every function below needs, with views cut to the rows of the step.
struct stage {
  kernels& device;
  const attention_context& context;
  const attention_spec& spec;
  const attention_weights& weights;
  step_buffers& buffers;
  uint32_t rows;

  // The first rows and columns of a buffer that may be wider than this layer needs. Rows lie next
  // to each other so that a row of heads can also be read as that many short rows.
  matrix_view cut(const matrix_view& whole, uint32_t cols) const {
    return {.data = whole.data, .rows = rows, .cols = cols, .stride = cols};
  }

  void norm(const matrix_view& x, const std::vector<float>& gain, float eps,
            uint32_t groups = 1) const {
    device.rms_norm({.x = x, .gain = gain, .eps = eps, .groups = groups, .y = x});
  }

  void rotate(const matrix_view& x, uint32_t heads, uint32_t head_dim, uint32_t begin) const {
    const auto& rope = context.model->rope;
    device.rope({.x = x,
                 .heads = heads,
                 .head_dim = head_dim,
                 .rotary_begin = begin,
                 .rotary_dim = rope.dim,
                 .style = rope.style,
                 .cos_sin = context.rotary.cos_sin,
                 .positions = context.rotary.positions});
  }

  void attend(const matrix_view& q, const matrix_view& y) const {
    const auto& step = *context.rows;
    device.attention({.kv = context.kv,
                      .q = q,
                      .q_heads = spec.heads,
                      .scale = spec.scale,
                      .window = spec.window,
                      .positions = step.positions,
                      .sequence_of = step.sequence_of,
                      .page_tables = step.page_tables,
                      .y = y});
  }
};

// One product of several that share a call.
matmul_args product(const matrix_view& x, const weight_matrix& w, const std::vector<float>& bias,
                    const matrix_view& y) {
  return {.x = x, .w = &w, .bias = bias, .residual = {}, .y = y};
}

void gqa_attention(const stage& at, const matrix_view& normed, const matrix_view& attended) {
  const auto& spec = at.spec;
  const auto& weights = at.weights;
  const uint32_t kv_width = spec.kv_heads * spec.head_dim;
  const auto q = at.cut(at.buffers.q, spec.query_width());
  const auto k = at.cut(at.buffers.keys, kv_width), v = at.cut(at.buffers.values, kv_width);
  auto& products = at.buffers.products;
  products.clear();
  products.push_back(product(normed, weights.q, weights.q_bias, q));
  products.push_back(product(normed, weights.k, weights.k_bias, k));
  products.push_back(product(normed, weights.v, weights.v_bias, v));
  at.device.grouped_matmul({.parts = products});
  if (spec.norm != qk_norm::none) {
    const bool per_head = spec.norm == qk_norm::per_head;
    at.norm(q, weights.q_norm, at.context.model->norm_eps, per_head ? spec.heads : 1);
    at.norm(k, weights.k_norm, at.context.model->norm_eps, per_head ? spec.kv_heads : 1);
  }
  if (spec.clip > 0) {
    for (const auto& x : {q, k, v}) at.device.clamp({.x = x, .limit = spec.clip, .y = x});
  }
  at.rotate(q, spec.heads, spec.head_dim, 0);
  at.rotate(k, spec.kv_heads, spec.head_dim, 0);
  at.device.kv_store(
      {.kv = at.context.kv, .keys = k, .values = v, .slots = at.context.rows->slots});
  at.attend(q, attended);
}

// q := queries [heads * (nope_dim + rope_dim)], keys := [kv_rank | rope_dim], both without
// rotation.
void latent_projections(const stage& at, const matrix_view& normed, const matrix_view& q,
                        const matrix_view& keys) {
  const auto& spec = at.spec;
  const auto& weights = at.weights;
  const auto q_rank = at.cut(at.buffers.q_rank, spec.q_rank);
  static const std::vector<float> no_bias;
  auto& products = at.buffers.products;
  products.clear();
  products.push_back(spec.q_rank > 0 ? product(normed, weights.q_down, weights.q_down_bias, q_rank)
                                     : product(normed, weights.q, no_bias, q));
  products.push_back(product(normed, weights.kv_down, weights.kv_down_bias, keys));
  at.device.grouped_matmul({.parts = products});
  if (spec.q_rank > 0) {
    at.norm(q_rank, weights.q_rank_norm, spec.rank_norm_eps);
    at.device.matmul(product(q_rank, weights.q, no_bias, q));
  }
  at.norm(keys.columns(0, spec.kv_rank), weights.kv_rank_norm, spec.rank_norm_eps);
}

void latent_attention(const stage& at, const matrix_view& normed, const matrix_view& attended) {
  const auto& spec = at.spec;
  const uint32_t head_dim = spec.query_head_dim(), key_dim = spec.key_dim();
  const auto q = at.cut(at.buffers.q, spec.query_width());
  const auto keys = at.cut(at.buffers.keys, key_dim);
  latent_projections(at, normed, q, keys);
  at.rotate(q, spec.heads, head_dim, spec.nope_dim);
  at.rotate(keys, 1, key_dim, spec.kv_rank);
  at.device.kv_store(
      {.kv = at.context.kv, .keys = keys, .values = {}, .slots = at.context.rows->slots});

  // Queries in the cached space: per head [absorbed | rotated].
  const auto absorbed = at.cut(at.buffers.q_absorbed, spec.heads * key_dim);
  at.device.per_head_matmul({.x = q,
                             .x_head_stride = head_dim,
                             .w = at.weights.absorb,
                             .y = absorbed,
                             .y_head_stride = key_dim});
  const uint32_t short_rows = at.rows * spec.heads;
  const matrix_view rotated_from{.data = q.data + spec.nope_dim,
                                 .rows = short_rows,
                                 .cols = spec.rope_dim,
                                 .stride = head_dim};
  const matrix_view rotated_to{.data = absorbed.data + spec.kv_rank,
                               .rows = short_rows,
                               .cols = spec.rope_dim,
                               .stride = key_dim};
  at.device.gather({.x = rotated_from,
                    .rows = std::span(at.buffers.every_head).first(short_rows),
                    .y = rotated_to});

  const auto in_rank = at.cut(at.buffers.attended_rank, spec.heads * spec.kv_rank);
  at.attend(absorbed, in_rank);
  at.device.per_head_matmul({.x = in_rank,
                             .x_head_stride = spec.kv_rank,
                             .w = at.weights.expand,
                             .y = attended,
                             .y_head_stride = spec.value_dim});
}

} // namespace

void attention_block(kernels& device, const attention_context& context) {
  device.enter(compute::part::attention);
  const auto& model = *context.model;
  const auto& spec = model.layers[context.layer].attention;
  const auto& weights = *context.weights;
  auto& buffers = *context.buffers;
  const uint32_t rows = context.rows->count();
  TROUPE_CHECK(rows <= buffers.limits.rows_max);
  const stage at{device, context, spec, weights, buffers, rows};
  const auto hidden = buffers.hidden.first_rows(rows), normed = buffers.normed.first_rows(rows);
  const auto attended = at.cut(buffers.attended, spec.output_width());

  device.rms_norm({.x = hidden, .gain = weights.input_norm, .eps = model.norm_eps, .y = normed});
  if (spec.kind == attention_kind::latent)
    latent_attention(at, normed, attended);
  else
    gqa_attention(at, normed, attended);
  if (model.residual_multiplier != 1) {
    device.scale({.x = attended, .factor = model.residual_multiplier, .y = attended});
  }
  device.matmul({.x = attended,
                 .w = &weights.output,
                 .bias = weights.output_bias,
                 .residual = hidden,
                 .y = hidden});
  device.rms_norm({.x = hidden, .gain = weights.post_norm, .eps = model.norm_eps, .y = normed});
}

} // namespace troupe::model
