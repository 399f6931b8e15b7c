// Attention of one layer, grouped queries or the latent kind in its absorbed form, as serving
// computes it (model/attention_layer.cpp), and its gradient.
#include "base/check.hpp"
#include "model/training/layer_steps.hpp"
#include "model/training/products.hpp"

namespace troupe::model {
namespace {

using compute::matrix_of;

template <class T>
struct attention_stage {
  const training_context<T>& at;
  const attention_spec& spec;
  const attention_parameters& ids;

  compute::training_kernels<T>& device() const { return at.device; }
  uint32_t rows() const { return at.rows.count(); }
  std::span<const T> gain(parameter_id id) const { return at.values.vector(id); }

  void rotate(const matrix_of<T>& x, uint32_t heads, uint32_t head_dim, uint32_t begin,
              bool backward) const {
    device().rotate({.x = x,
                     .heads = heads,
                     .head_dim = head_dim,
                     .rotary_begin = begin,
                     .rotary_dim = at.model.rope.dim,
                     .style = at.model.rope.style,
                     .cos_sin = at.rows.cos_sin,
                     .angle_rows = at.rows.angle_rows,
                     .backward = backward});
  }
  // Of one head of kv_up: the rows that make keys, or those that make values.
  compute::weight_of<T> up_rows(uint32_t head, bool of_values) const {
    const auto whole = at.values.weight(ids.kv_up);
    const auto [begin, count] = up_place(head, of_values);
    return {whole.values.rows_at(begin, count), whole.transposed.columns(begin, count)};
  }
  matrix_of<T> up_gradient(uint32_t head, bool of_values) const {
    const auto [begin, count] = up_place(head, of_values);
    return at.gradients->matrix(ids.kv_up).rows_at(begin, count);
  }
  std::pair<uint32_t, uint32_t> up_place(uint32_t head, bool of_values) const {
    const uint32_t begin = head * (spec.nope_dim + spec.value_dim);
    return of_values ? std::pair(begin + spec.nope_dim, spec.value_dim)
                     : std::pair(begin, spec.nope_dim);
  }
};

template <class T>
bool has_norm(const attention_stage<T>& at) {
  return at.spec.norm != qk_norm::none;
}

// ---- grouped queries ----

template <class T>
compute::training_attention_args<T> gqa_args(const attention_stage<T>& at,
                                             const attention_tape<T>& tape) {
  return {.q = tape.q.view(),
          .keys = tape.keys.view(),
          .values = tape.values.view(),
          .heads = at.spec.heads,
          .kv_heads = at.spec.kv_heads,
          .key_dim = at.spec.head_dim,
          .value_dim = at.spec.head_dim,
          .scale = T(at.spec.scale),
          .window = at.spec.window,
          .documents = at.at.rows.documents,
          .y = tape.attended.view()};
}

// From a projection to what rotation reads: norm, then limits, each only where the model has them.
template <class T>
void finish_projection(const attention_stage<T>& at, owned_rows<T>& raw, owned_rows<T>& normed,
                       parameter_id norm, uint32_t heads, const matrix_of<T>& target) {
  matrix_of<const T> from = raw.view();
  if (norm != no_parameter) {
    const auto to = at.spec.clip > 0 ? normed.shape(at.rows(), target.cols) : target;
    at.device().norm({.x = from,
                      .gain = at.gain(norm),
                      .eps = T(at.at.model.norm_eps),
                      .groups = at.spec.norm == qk_norm::per_head ? heads : 1,
                      .y = to});
    from = to;
  }
  if (at.spec.clip > 0)
    at.device().clamp_rows({.x = from, .limit = T(at.spec.clip), .dy = {}, .y = target});
}

// The same backwards, in place.
template <class T>
void finish_projection_backward(const attention_stage<T>& at, const owned_rows<T>& raw,
                                const owned_rows<T>& normed, parameter_id norm, uint32_t heads,
                                const matrix_of<T>& gradient) {
  if (at.spec.clip > 0) {
    const auto& before = norm == no_parameter ? raw : normed;
    at.device().clamp_rows(
        {.x = before.view(), .limit = T(at.spec.clip), .dy = gradient, .y = gradient});
  }
  if (norm == no_parameter) return;
  at.device().norm_backward({.x = raw.view(),
                             .gain = at.gain(norm),
                             .eps = T(at.at.model.norm_eps),
                             .groups = at.spec.norm == qk_norm::per_head ? heads : 1,
                             .dy = gradient,
                             .add = false,
                             .dx = gradient,
                             .dgain = at.at.gradients->vector(norm)});
}

template <class T>
void gqa_forward(const attention_stage<T>& at, attention_tape<T>& tape) {
  const auto& spec = at.spec;
  const uint32_t rows = at.rows(), q_width = spec.query_width();
  const uint32_t kv_width = spec.kv_heads * spec.head_dim;
  const bool clipped = spec.clip > 0, kept = has_norm(at) || clipped;
  const auto q = tape.q.shape(rows, q_width), keys = tape.keys.shape(rows, kv_width),
             values = tape.values.shape(rows, kv_width);
  const auto q_raw = kept ? tape.q_raw.shape(rows, q_width) : q;
  const auto k_raw = kept ? tape.k_raw.shape(rows, kv_width) : keys;
  const auto v_raw = clipped ? tape.v_raw.shape(rows, kv_width) : values;
  const matrix_of<const T> normed = tape.normed.view();
  project<T>(at.at, normed,
             {{at.ids.q, at.ids.q_bias, q_raw},
              {at.ids.k, at.ids.k_bias, k_raw},
              {at.ids.v, at.ids.v_bias, v_raw}});
  if (kept) {
    finish_projection(at, tape.q_raw, tape.q_normed, at.ids.q_norm, spec.heads, q);
    finish_projection(at, tape.k_raw, tape.k_normed, at.ids.k_norm, spec.kv_heads, keys);
  }
  if (clipped) at.device().clamp_rows({.x = v_raw, .limit = T(spec.clip), .dy = {}, .y = values});
  at.rotate(q, spec.heads, spec.head_dim, 0, false);
  at.rotate(keys, spec.kv_heads, spec.head_dim, 0, false);
  at.device().attention(gqa_args(at, tape));
}

// scratch.normed := gradient of tape.normed.
template <class T>
void gqa_backward(const attention_stage<T>& at, const attention_tape<T>& tape,
                  const matrix_of<const T>& dattended, backward_scratch<T>& scratch) {
  const auto& spec = at.spec;
  const uint32_t rows = at.rows(), kv_width = spec.kv_heads * spec.head_dim;
  const auto dq = scratch.q.shape(rows, spec.query_width());
  const auto dkeys = scratch.keys.shape(rows, kv_width);
  const auto dvalues = scratch.values.shape(rows, kv_width);
  at.device().attention_backward({.forward = gqa_args(at, tape),
                                  .dy = dattended,
                                  .dq = dq,
                                  .dkeys = dkeys,
                                  .dvalues = dvalues});
  at.rotate(dq, spec.heads, spec.head_dim, 0, true);
  at.rotate(dkeys, spec.kv_heads, spec.head_dim, 0, true);
  if (spec.clip > 0) {
    at.device().clamp_rows(
        {.x = tape.v_raw.view(), .limit = T(spec.clip), .dy = dvalues, .y = dvalues});
  }
  finish_projection_backward(at, tape.q_raw, tape.q_normed, at.ids.q_norm, spec.heads, dq);
  finish_projection_backward(at, tape.k_raw, tape.k_normed, at.ids.k_norm, spec.kv_heads, dkeys);
  const auto dnormed = scratch.normed.shape(rows, at.at.model.hidden);
  project_backward<T>(at.at, tape.normed.view(),
                      {{at.ids.q, at.ids.q_bias, dq},
                       {at.ids.k, at.ids.k_bias, dkeys},
                       {at.ids.v, at.ids.v_bias, dvalues}},
                      dnormed, false);
}

// ---- latent ----

template <class T>
compute::training_attention_args<T> latent_args(const attention_stage<T>& at,
                                                const attention_tape<T>& tape) {
  return {.q = tape.absorbed.view(),
          .keys = tape.keys.view(),
          .values = tape.keys.view().columns(0, at.spec.kv_rank),
          .heads = at.spec.heads,
          .kv_heads = 1,
          .key_dim = at.spec.key_dim(),
          .value_dim = at.spec.kv_rank,
          .scale = T(at.spec.scale),
          .window = at.spec.window,
          .documents = at.at.rows.documents,
          .y = tape.in_rank.view()};
}

template <class T>
void copy_rows(compute::training_kernels<T>& device, const matrix_of<const T>& from,
               const matrix_of<T>& to) {
  device.sum({.a = from, .b = {}, .factor = 1, .y = to});
}

template <class T>
void latent_projections(const attention_stage<T>& at, attention_tape<T>& tape) {
  const auto& spec = at.spec;
  const uint32_t rows = at.rows();
  const matrix_of<const T> normed = tape.normed.view();
  const auto q = tape.q.shape(rows, spec.query_width());
  const auto keys_raw = tape.keys_raw.shape(rows, spec.key_dim());
  const T eps = T(spec.rank_norm_eps);
  if (spec.q_rank > 0) {
    const auto q_rank_raw = tape.q_rank_raw.shape(rows, spec.q_rank);
    const auto q_rank = tape.q_rank.shape(rows, spec.q_rank);
    project<T>(at.at, normed,
               {{at.ids.q_down, at.ids.q_down_bias, q_rank_raw},
                {at.ids.kv_down, at.ids.kv_down_bias, keys_raw}});
    at.device().norm(
        {.x = q_rank_raw, .gain = at.gain(at.ids.q_rank_norm), .eps = eps, .y = q_rank});
    project<T>(at.at, q_rank, {{at.ids.q, no_parameter, q}});
  } else {
    project<T>(at.at, normed,
               {{at.ids.q, no_parameter, q}, {at.ids.kv_down, at.ids.kv_down_bias, keys_raw}});
  }
  const auto keys = tape.keys.shape(rows, spec.key_dim());
  at.device().norm({.x = keys_raw.columns(0, spec.kv_rank),
                    .gain = at.gain(at.ids.kv_rank_norm),
                    .eps = eps,
                    .y = keys.columns(0, spec.kv_rank)});
  copy_rows<T>(at.device(), keys_raw.columns(spec.kv_rank, spec.rope_dim),
               keys.columns(spec.kv_rank, spec.rope_dim));
}

template <class T>
void latent_forward(const attention_stage<T>& at, attention_tape<T>& tape) {
  const auto& spec = at.spec;
  const uint32_t rows = at.rows(), head_dim = spec.query_head_dim(), key_dim = spec.key_dim();
  latent_projections(at, tape);
  const auto& q = tape.q.view();
  at.rotate(q, spec.heads, head_dim, spec.nope_dim, false);
  at.rotate(tape.keys.view(), 1, key_dim, spec.kv_rank, false);
  const auto absorbed = tape.absorbed.shape(rows, spec.heads * key_dim);
  const auto in_rank = tape.in_rank.shape(rows, spec.heads * spec.kv_rank);
  std::vector<compute::linear_args<T>> parts;
  for (uint32_t h = 0; h < spec.heads; ++h) {
    parts.push_back({.x = q.columns(h * head_dim, spec.nope_dim),
                     .w = at.up_rows(h, false).turned(),
                     .bias = {},
                     .residual = {},
                     .y = absorbed.columns(h * key_dim, spec.kv_rank)});
    copy_rows<T>(at.device(), q.columns(h * head_dim + spec.nope_dim, spec.rope_dim),
                 absorbed.columns(h * key_dim + spec.kv_rank, spec.rope_dim));
  }
  at.device().linear(parts);
  at.device().attention(latent_args(at, tape));
  parts.clear();
  for (uint32_t h = 0; h < spec.heads; ++h) {
    parts.push_back({.x = in_rank.columns(h * spec.kv_rank, spec.kv_rank),
                     .w = at.up_rows(h, true),
                     .bias = {},
                     .residual = {},
                     .y = tape.attended.view().columns(h * spec.value_dim, spec.value_dim)});
  }
  at.device().linear(parts);
}

// From the gradient of the expanded values to that of in_rank.
template <class T>
void expand_backward(const attention_stage<T>& at, const attention_tape<T>& tape,
                     const matrix_of<const T>& dattended, const matrix_of<T>& din_rank) {
  const auto& spec = at.spec;
  std::vector<compute::input_gradient_args<T>> inputs;
  std::vector<compute::weight_gradient_args<T>> weights;
  for (uint32_t h = 0; h < spec.heads; ++h) {
    const auto dy = dattended.columns(h * spec.value_dim, spec.value_dim);
    inputs.push_back({.dy = dy,
                      .w = at.up_rows(h, true),
                      .add = false,
                      .dx = din_rank.columns(h * spec.kv_rank, spec.kv_rank)});
    weights.push_back({.dy = dy,
                       .x = tape.in_rank.view().columns(h * spec.kv_rank, spec.kv_rank),
                       .dw = at.up_gradient(h, true)});
  }
  at.device().input_gradient(inputs);
  at.device().weight_gradient(weights);
}

// From the gradient of the absorbed queries to that of the queries, still rotated.
template <class T>
void absorb_backward(const attention_stage<T>& at, const attention_tape<T>& tape,
                     const matrix_of<const T>& dabsorbed, const matrix_of<T>& dq) {
  const auto& spec = at.spec;
  const uint32_t head_dim = spec.query_head_dim(), key_dim = spec.key_dim();
  std::vector<compute::input_gradient_args<T>> inputs;
  std::vector<compute::weight_gradient_args<T>> weights;
  for (uint32_t h = 0; h < spec.heads; ++h) {
    const auto dy = dabsorbed.columns(h * key_dim, spec.kv_rank);
    inputs.push_back({.dy = dy,
                      .w = at.up_rows(h, false).turned(),
                      .add = false,
                      .dx = dq.columns(h * head_dim, spec.nope_dim)});
    // The product read the matrix the other way round, so rows and columns change places.
    weights.push_back({.dy = tape.q.view().columns(h * head_dim, spec.nope_dim),
                       .x = dy,
                       .dw = at.up_gradient(h, false)});
    copy_rows<T>(at.device(), dabsorbed.columns(h * key_dim + spec.kv_rank, spec.rope_dim),
                 dq.columns(h * head_dim + spec.nope_dim, spec.rope_dim));
  }
  at.device().input_gradient(inputs);
  at.device().weight_gradient(weights);
}

template <class T>
void latent_projections_backward(const attention_stage<T>& at, const attention_tape<T>& tape,
                                 const matrix_of<T>& dq, const matrix_of<T>& dkeys,
                                 backward_scratch<T>& scratch) {
  const auto& spec = at.spec;
  const T eps = T(spec.rank_norm_eps);
  const auto dcompressed = dkeys.columns(0, spec.kv_rank);
  at.device().norm_backward({.x = tape.keys_raw.view().columns(0, spec.kv_rank),
                             .gain = at.gain(at.ids.kv_rank_norm),
                             .eps = eps,
                             .dy = dcompressed,
                             .dx = dcompressed,
                             .dgain = at.at.gradients->vector(at.ids.kv_rank_norm)});
  const auto dnormed = scratch.normed.shape(at.rows(), at.at.model.hidden);
  const matrix_of<const T> normed = tape.normed.view();
  if (spec.q_rank == 0) {
    project_backward<T>(
        at.at, normed, {{at.ids.q, no_parameter, dq}, {at.ids.kv_down, at.ids.kv_down_bias, dkeys}},
        dnormed, false);
    return;
  }
  const auto dq_rank = scratch.q_rank.shape(at.rows(), spec.q_rank);
  project_backward<T>(at.at, tape.q_rank.view(), {{at.ids.q, no_parameter, dq}}, dq_rank, false);
  at.device().norm_backward({.x = tape.q_rank_raw.view(),
                             .gain = at.gain(at.ids.q_rank_norm),
                             .eps = eps,
                             .dy = dq_rank,
                             .dx = dq_rank,
                             .dgain = at.at.gradients->vector(at.ids.q_rank_norm)});
  project_backward<T>(
      at.at, normed,
      {{at.ids.q_down, at.ids.q_down_bias, dq_rank}, {at.ids.kv_down, at.ids.kv_down_bias, dkeys}},
      dnormed, false);
}

// scratch.normed := gradient of tape.normed.
template <class T>
void latent_backward(const attention_stage<T>& at, const attention_tape<T>& tape,
                     const matrix_of<const T>& dattended, backward_scratch<T>& scratch) {
  const auto& spec = at.spec;
  const uint32_t rows = at.rows();
  const auto din_rank = scratch.in_rank.shape(rows, spec.heads * spec.kv_rank);
  expand_backward(at, tape, dattended, din_rank);
  const auto dabsorbed = scratch.absorbed.shape(rows, spec.heads * spec.key_dim());
  const auto dkeys = scratch.keys.shape(rows, spec.key_dim());
  const auto dvalues = scratch.values.shape(rows, spec.kv_rank);
  at.device().attention_backward({.forward = latent_args(at, tape),
                                  .dy = din_rank,
                                  .dq = dabsorbed,
                                  .dkeys = dkeys,
                                  .dvalues = dvalues});
  const auto dcompressed = dkeys.columns(0, spec.kv_rank); // is key and value
  at.device().sum({.a = dcompressed, .b = dvalues, .factor = 1, .y = dcompressed});
  const auto dq = scratch.q.shape(rows, spec.query_width());
  absorb_backward<T>(at, tape, dabsorbed, dq);
  at.rotate(dq, spec.heads, spec.query_head_dim(), spec.nope_dim, true);
  at.rotate(dkeys, 1, spec.key_dim(), spec.kv_rank, true);
  latent_projections_backward(at, tape, dq, dkeys, scratch);
}

template <class T>
attention_stage<T> stage_of(const training_context<T>& at, uint32_t layer) {
  return {at, at.model.layers[layer].attention, at.map().layers[layer].attention};
}

} // namespace

template <class T>
void attention_forward(const training_context<T>& at, uint32_t layer,
                       const matrix_of<const T>& hidden, attention_tape<T>& tape) {
  const auto stage = stage_of(at, layer);
  const auto& ids = stage.ids;
  const uint32_t rows = at.rows.count(), width = at.model.hidden;
  const T eps = T(at.model.norm_eps), multiplier = T(at.model.residual_multiplier);
  const auto normed = tape.normed.shape(rows, width);
  const auto attended = tape.attended.shape(rows, stage.spec.output_width());
  at.device.norm({.x = hidden, .gain = stage.gain(ids.input_norm), .eps = eps, .y = normed});
  if (stage.spec.kind == attention_kind::latent)
    latent_forward(stage, tape);
  else
    gqa_forward(stage, tape);
  matrix_of<const T> added = attended;
  std::vector<T> bias(stage.gain(ids.output_bias).begin(), stage.gain(ids.output_bias).end());
  if (multiplier != 1) {
    const auto scaled = tape.scaled.shape(rows, attended.cols);
    at.device.sum({.a = attended, .b = {}, .factor = multiplier, .y = scaled});
    added = scaled;
    for (T& value : bias) value *= multiplier;
  }
  const auto after = tape.hidden.shape(rows, width);
  const compute::linear_args<T> output{
      .x = added, .w = at.values.weight(ids.output), .bias = bias, .residual = hidden, .y = after};
  at.device.linear({&output, 1});
  const auto result = tape.output.shape(rows, width);
  at.device.norm({.x = after, .gain = stage.gain(ids.post_norm), .eps = eps, .y = result});
}

template <class T>
void attention_backward(const training_context<T>& at, uint32_t layer,
                        const matrix_of<const T>& hidden, const attention_tape<T>& tape,
                        const matrix_of<const T>& doutput, const matrix_of<T>& dhidden,
                        backward_scratch<T>& scratch) {
  const auto stage = stage_of(at, layer);
  const auto& ids = stage.ids;
  const T eps = T(at.model.norm_eps), multiplier = T(at.model.residual_multiplier);
  const auto norm_back = [&](const matrix_of<const T>& x, parameter_id norm,
                             const matrix_of<const T>& dy) {
    at.device.norm_backward({.x = x,
                             .gain = stage.gain(norm),
                             .eps = eps,
                             .dy = dy,
                             .add = true,
                             .dx = dhidden,
                             .dgain = at.gradients->vector(norm)});
  };
  norm_back(tape.hidden.view(), ids.post_norm, doutput);

  const auto dattended = scratch.attended.shape(at.rows.count(), stage.spec.output_width());
  const bool scaled = multiplier != 1;
  const compute::weight_gradient_args<T> weight{
      .dy = dhidden,
      .x = scaled ? tape.scaled.view() : tape.attended.view(),
      .dw = at.gradients->matrix(ids.output)};
  const compute::input_gradient_args<T> input{
      .dy = dhidden, .w = at.values.weight(ids.output), .add = false, .dx = dattended};
  at.device.weight_gradient({&weight, 1});
  at.device.input_gradient({&input, 1});
  if (scaled) at.device.sum({.a = dattended, .b = {}, .factor = multiplier, .y = dattended});
  if (ids.output_bias != no_parameter) {
    matrix_of<const T> dbias = dhidden;
    if (scaled) {
      const auto copy = scratch.raw.shape(dhidden.rows, dhidden.cols);
      at.device.sum({.a = dhidden, .b = {}, .factor = multiplier, .y = copy});
      dbias = copy;
    }
    at.device.bias_gradient({.dy = dbias, .total = at.gradients->vector(ids.output_bias)});
  }
  if (stage.spec.kind == attention_kind::latent)
    latent_backward<T>(stage, tape, dattended, scratch);
  else
    gqa_backward<T>(stage, tape, dattended, scratch);
  norm_back(hidden, ids.input_norm, scratch.normed.view());
}

#define TROUPE_INSTANTIATE(T)                                                                    \
  template void attention_forward<T>(const training_context<T>&, uint32_t,                       \
                                     const matrix_of<const T>&, attention_tape<T>&);             \
  template void attention_backward<T>(                                                           \
      const training_context<T>&, uint32_t, const matrix_of<const T>&, const attention_tape<T>&, \
      const matrix_of<const T>&, const matrix_of<T>&, backward_scratch<T>&);
TROUPE_INSTANTIATE(float)
TROUPE_INSTANTIATE(double)
#undef TROUPE_INSTANTIATE

} // namespace troupe::model
