// The tensors of every part, written once: the survey and the loader walk the same lists.
#include "model/weights.hpp"

#include "base/text.hpp"
#include "model/tensor_names.hpp"
#include "model/weight_reader.hpp"

namespace troupe::model {
namespace {

// ---- MLPs ----

dense_mlp_weights read_mlp(weight_reader& reader, const std::string& prefix, const dense_spec& spec,
                           uint32_t hidden) {
  dense_mlp_weights out;
  out.gate = reader.matrix(prefix + "gate_proj.weight", spec.inner, hidden);
  out.up = reader.matrix(prefix + "up_proj.weight", spec.inner, hidden);
  out.down = reader.matrix(prefix + "down_proj.weight", hidden, spec.inner);
  out.gate_bias = reader.vector_if(spec.bias, prefix + "gate_proj.bias", spec.inner);
  out.up_bias = reader.vector_if(spec.bias, prefix + "up_proj.bias", spec.inner);
  out.down_bias = reader.vector_if(spec.bias, prefix + "down_proj.bias", hidden);
  return out;
}

// The first spelling that the checkpoint has; the usual one when it has none.
std::string spelled(const weight_reader& reader, const std::string& prefix,
                    const std::vector<std::string>& names) {
  for (const auto& name : names) {
    if (reader.has(prefix + name)) return prefix + name;
  }
  return prefix + names.front();
}

expert_weights read_fused_expert(weight_reader& reader, const std::string& gate_up_name,
                                 const std::string& down_name, const description& model,
                                 const moe_spec& moe, uint32_t expert) {
  const uint32_t hidden = model.hidden, inner = moe.inner;
  const size_t matrix = size_t{inner} * hidden;
  const auto* gate_up =
      reader.tensor(gate_up_name, {moe.rule.experts, uint64_t{inner} * 2, hidden});
  const auto* down = reader.tensor(down_name, {moe.rule.experts, hidden, inner});
  const tensor_slice gate{
      .offset = expert * 2 * matrix, .rows = inner, .cols = hidden, .row_stride = hidden};
  tensor_slice up = gate;
  up.offset += matrix;
  expert_weights out;
  out.gate = reader.slice(gate_up, gate, matrix_role::body);
  out.up = reader.slice(gate_up, up, matrix_role::body);
  out.down = reader.slice(
      down, {.offset = expert * matrix, .rows = hidden, .cols = inner, .row_stride = inner},
      matrix_role::body);
  return out;
}

expert_weights read_expert(weight_reader& reader, const description& model, uint32_t layer,
                           uint32_t expert) {
  const auto& moe = model.layers[layer].moe;
  const auto names = names_of(model.naming, moe.shared_gate);
  const std::string prefix = layer_prefix(layer);
  const std::string own = text(prefix, names.expert_prefix, expert);
  const std::string fused = spelled(reader, prefix, names.fused_gate_up);
  if (!reader.has(own + names.expert_gate) &&
      (model.naming == moe_naming::granite || reader.has(fused))) {
    return read_fused_expert(reader, fused, spelled(reader, prefix, names.fused_down), model, moe,
                             expert);
  }
  expert_weights out;
  out.gate = reader.matrix(own + names.expert_gate, moe.inner, model.hidden);
  out.up = reader.matrix(own + names.expert_up, moe.inner, model.hidden);
  out.down = reader.matrix(own + names.expert_down, model.hidden, moe.inner);
  return out;
}

router_weights read_router(weight_reader& reader, const description& model, uint32_t layer) {
  const auto& moe = model.layers[layer].moe;
  const auto names = names_of(model.naming, moe.shared_gate);
  const std::string prefix = layer_prefix(layer);
  router_weights out;
  out.gate = reader.matrix(spelled(reader, prefix, names.gate), moe.rule.experts, model.hidden,
                           matrix_role::router);
  out.correction = reader.vector_if(moe.correction_bias,
                                    prefix + "mlp.gate.e_score_correction_bias", moe.rule.experts);
  if (moe.shared.inner > 0)
    out.shared = read_mlp(reader, prefix + names.shared_prefix, moe.shared, model.hidden);
  if (moe.shared_gate) {
    out.shared_gate = reader.matrix(prefix + "mlp.shared_expert_gate.weight", 1, model.hidden,
                                    matrix_role::router);
  }
  return out;
}

// ---- attention ----

void read_gqa(weight_reader& reader, const std::string& prefix, const attention_spec& spec,
              uint32_t hidden, attention_weights& out) {
  const uint32_t q_width = spec.heads * spec.head_dim, kv_width = spec.kv_heads * spec.head_dim;
  out.q = reader.matrix(prefix + "q_proj.weight", q_width, hidden);
  out.k = reader.matrix(prefix + "k_proj.weight", kv_width, hidden);
  out.v = reader.matrix(prefix + "v_proj.weight", kv_width, hidden);
  out.q_bias = reader.vector_if(spec.qkv_bias, prefix + "q_proj.bias", q_width);
  out.k_bias = reader.vector_if(spec.qkv_bias, prefix + "k_proj.bias", kv_width);
  out.v_bias = reader.vector_if(spec.qkv_bias, prefix + "v_proj.bias", kv_width);
  if (spec.norm == qk_norm::none) return;
  const bool full = spec.norm == qk_norm::full_width;
  out.q_norm = reader.vector(prefix + "q_norm.weight", full ? q_width : spec.head_dim);
  out.k_norm = reader.vector(prefix + "k_norm.weight", full ? kv_width : spec.head_dim);
}

// GGUF files may hold the two halves of kv_b_proj apart, the keys already transposed.
void read_absorbed_halves(weight_reader& reader, const std::string& prefix,
                          const attention_spec& spec, attention_weights& out) {
  const auto* keys =
      reader.tensor(prefix + "k_b_proj.weight", {spec.heads, spec.kv_rank, spec.nope_dim});
  const auto* values =
      reader.tensor(prefix + "v_b_proj.weight", {spec.heads, spec.value_dim, spec.kv_rank});
  for (size_t head = 0; head < spec.heads; ++head) {
    out.absorb.push_back(reader.slice(keys,
                                      {.offset = head * spec.kv_rank * spec.nope_dim,
                                       .rows = spec.kv_rank,
                                       .cols = spec.nope_dim,
                                       .row_stride = spec.nope_dim},
                                      matrix_role::absorbed));
    out.expand.push_back(reader.slice(values,
                                      {.offset = head * spec.value_dim * spec.kv_rank,
                                       .rows = spec.value_dim,
                                       .cols = spec.kv_rank,
                                       .row_stride = spec.kv_rank},
                                      matrix_role::absorbed));
  }
}

// kv_b_proj holds, per head, nope_dim rows that make keys and value_dim rows that make values from
// the compressed row c. Since q . (K c) = (K^T q) . c, queries go into the compressed space instead
// and the keys are never made: `absorb` is K^T, read by swapping the strides.
void read_absorbed(weight_reader& reader, const std::string& prefix, const attention_spec& spec,
                   attention_weights& out) {
  const std::string name = prefix + "kv_b_proj.weight";
  if (!reader.has(name) && reader.has(prefix + "k_b_proj.weight"))
    return read_absorbed_halves(reader, prefix, spec, out);
  const uint32_t head_rows = spec.nope_dim + spec.value_dim;
  const auto* tensor = reader.tensor(name, {uint64_t{spec.heads} * head_rows, spec.kv_rank});
  for (uint32_t head = 0; head < spec.heads; ++head) {
    const size_t keys = size_t{head} * head_rows * spec.kv_rank;
    const size_t values = keys + size_t{spec.nope_dim} * spec.kv_rank;
    out.absorb.push_back(reader.slice(tensor,
                                      {.offset = keys,
                                       .rows = spec.kv_rank,
                                       .cols = spec.nope_dim,
                                       .row_stride = 1,
                                       .col_stride = spec.kv_rank},
                                      matrix_role::absorbed));
    out.expand.push_back(reader.slice(tensor,
                                      {.offset = values,
                                       .rows = spec.value_dim,
                                       .cols = spec.kv_rank,
                                       .row_stride = spec.kv_rank},
                                      matrix_role::absorbed));
  }
}

void read_latent(weight_reader& reader, const std::string& prefix, const attention_spec& spec,
                 uint32_t hidden, attention_weights& out) {
  if (spec.q_rank > 0) {
    out.q_down = reader.matrix(prefix + "q_a_proj.weight", spec.q_rank, hidden);
    out.q_down_bias = reader.vector_if(spec.qkv_bias, prefix + "q_a_proj.bias", spec.q_rank);
    out.q_rank_norm = reader.vector(prefix + "q_a_layernorm.weight", spec.q_rank);
    out.q = reader.matrix(prefix + "q_b_proj.weight", spec.query_width(), spec.q_rank);
  } else {
    out.q = reader.matrix(prefix + "q_proj.weight", spec.query_width(), hidden);
  }
  const uint32_t kv_width = spec.kv_rank + spec.rope_dim;
  out.kv_down = reader.matrix(prefix + "kv_a_proj_with_mqa.weight", kv_width, hidden);
  out.kv_down_bias = reader.vector_if(spec.qkv_bias, prefix + "kv_a_proj_with_mqa.bias", kv_width);
  out.kv_rank_norm = reader.vector(prefix + "kv_a_layernorm.weight", spec.kv_rank);
  read_absorbed(reader, prefix, spec, out);
}

attention_weights read_attention(weight_reader& reader, const description& model, uint32_t layer) {
  const auto& spec = model.layers[layer].attention;
  const std::string prefix = layer_prefix(layer), attention = prefix + "self_attn.";
  attention_weights out;
  out.input_norm = reader.vector(prefix + "input_layernorm.weight", model.hidden);
  out.post_norm = reader.vector(prefix + "post_attention_layernorm.weight", model.hidden);
  if (spec.kind == attention_kind::latent)
    read_latent(reader, attention, spec, model.hidden, out);
  else
    read_gqa(reader, attention, spec, model.hidden, out);
  out.output = reader.matrix(attention + "o_proj.weight", model.hidden, spec.output_width());
  out.output_bias = reader.vector_if(spec.output_bias, attention + "o_proj.bias", model.hidden);
  for (float& bias : out.output_bias) bias *= model.residual_multiplier;
  return out;
}

// ---- the rest ----

weight_matrix read_table(weight_reader& reader, const description& model) {
  return reader.matrix(std::string(embedding_name), model.vocabulary, model.hidden,
                       matrix_role::table);
}

head_weights read_head(weight_reader& reader, const description& model, bool share_table) {
  head_weights out;
  out.norm = reader.vector(std::string(final_norm_name), model.hidden);
  if (!model.tied_embeddings) {
    out.matrix =
        reader.matrix(std::string(head_name), model.vocabulary, model.hidden, matrix_role::table);
  } else if (!share_table) {
    out.matrix = read_table(reader, model);
  }
  return out;
}

dense_mlp_weights read_dense(weight_reader& reader, const description& model, uint32_t layer) {
  return read_mlp(reader, layer_prefix(layer) + "mlp.", model.layers[layer].dense, model.hidden);
}

model_weights read_everything(weight_reader& reader, const description& model) {
  model_weights out;
  out.embedding = read_table(reader, model);
  out.layers.resize(model.layers.size());
  for (uint32_t i = 0; i < model.layers.size() && reader.ok(); ++i) {
    auto& layer = out.layers[i];
    layer.attention = read_attention(reader, model, i);
    if (!model.layers[i].is_moe()) {
      layer.dense = read_dense(reader, model, i);
      continue;
    }
    layer.router = read_router(reader, model, i);
    for (uint32_t e = 0; e < model.layers[i].moe.rule.experts && reader.ok(); ++e) {
      layer.experts.push_back(read_expert(reader, model, i, e));
    }
  }
  out.head = read_head(reader, model, true);
  return out;
}

} // namespace

result<weight_survey> survey_weights(const description& model, const tensor_index& index) {
  const load_options none;
  weight_reader reader(index, nullptr, none, 0, 0);
  read_everything(reader, model);
  if (!reader.ok()) return fail(reader.first_error());
  weight_survey out;
  out.bytes_total = reader.bytes_done();
  for (const auto& [name, tensor] : index.tensors()) {
    if (reader.used().count(name) == 0 && !is_superfluous(name, model)) out.unused.push_back(name);
  }
  return out;
}

weight_loader::weight_loader(const description& model, const tensor_index& index,
                             compute::executor& executor, load_options options)
    : model_(model), index_(index), executor_(executor), options_(std::move(options)) {
  if (const auto survey = survey_weights(model, index)) bytes_total_ = survey->bytes_total;
}

template <class Part, class Read>
result<Part> weight_loader::load(const Read& read) {
  weight_reader reader(index_, &executor_, options_, bytes_done_, bytes_total_);
  Part part = read(reader);
  bytes_done_ = reader.bytes_done();
  if (!reader.ok()) return fail(reader.first_error());
  return part;
}

result<weight_matrix> weight_loader::embedding() {
  return load<weight_matrix>([this](weight_reader& reader) { return read_table(reader, model_); });
}

result<head_weights> weight_loader::head(bool share_table) {
  return load<head_weights>(
      [=, this](weight_reader& reader) { return read_head(reader, model_, share_table); });
}

result<attention_weights> weight_loader::attention(uint32_t layer) {
  return load<attention_weights>(
      [=, this](weight_reader& reader) { return read_attention(reader, model_, layer); });
}

result<dense_mlp_weights> weight_loader::dense(uint32_t layer) {
  return load<dense_mlp_weights>(
      [=, this](weight_reader& reader) { return read_dense(reader, model_, layer); });
}

result<router_weights> weight_loader::router(uint32_t layer) {
  return load<router_weights>(
      [=, this](weight_reader& reader) { return read_router(reader, model_, layer); });
}

result<expert_weights> weight_loader::expert(uint32_t layer, uint32_t expert) {
  return load<expert_weights>(
      [=, this](weight_reader& reader) { return read_expert(reader, model_, layer, expert); });
}

result<model_weights> weight_loader::everything() {
  return load<model_weights>(
      [this](weight_reader& reader) { return read_everything(reader, model_); });
}

} // namespace troupe::model
