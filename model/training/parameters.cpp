// Walks the description in the order of the layers; reading and gradients follow that list.
#include "model/training/parameters.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "model/staged_slice.hpp"
#include "model/tensor_names.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::model {
namespace {

class map_builder {
public:
  explicit map_builder(const description& model) : model_(model) {}
  parameter_map build();

private:
  parameter_id add(std::string name, uint32_t rows, uint32_t cols, bool is_matrix) {
    parameter made{.name = name,
                   .rows = rows,
                   .cols = cols,
                   .offset = map_.scalars,
                   .is_matrix = is_matrix,
                   .owner = owner_,
                   .layer = layer_,
                   .expert = expert_,
                   .stored_name = std::move(name),
                   .stored_shape = {rows, cols}};
    if (!is_matrix) made.stored_shape = {cols};
    map_.scalars += made.count();
    map_.list.push_back(std::move(made));
    return static_cast<parameter_id>(map_.list.size() - 1);
  }
  parameter_id matrix(std::string name, uint32_t rows, uint32_t cols) {
    return add(std::move(name), rows, cols, true);
  }
  parameter_id vector(std::string name, uint32_t count) {
    return add(std::move(name), 1, count, false);
  }
  parameter_id vector_if(bool wanted, std::string name, uint32_t count) {
    return wanted ? vector(std::move(name), count) : no_parameter;
  }
  // Part of a tensor that holds all experts.
  void store_fused(parameter_id id, const std::string& name, std::vector<uint64_t> shape,
                   size_t offset) {
    auto& p = map_.list[id];
    p.stored_name = name;
    p.stored_shape = std::move(shape);
    p.stored_offset = offset;
  }

  mlp_parameters mlp(const std::string& prefix, const dense_spec& spec);
  void gqa(const std::string& prefix, const attention_spec& spec, attention_parameters& out);
  void latent(const std::string& prefix, const attention_spec& spec, attention_parameters& out);
  attention_parameters attention(uint32_t layer);
  void experts(uint32_t layer, layer_parameters& out);
  router_parameters router(uint32_t layer);

  const description& model_;
  parameter_map map_;
  parameter_owner owner_ = parameter_owner::embedding;
  uint32_t layer_ = 0;
  uint32_t expert_ = 0;
};

mlp_parameters map_builder::mlp(const std::string& prefix, const dense_spec& spec) {
  mlp_parameters out;
  out.gate = matrix(prefix + "gate_proj.weight", spec.inner, model_.hidden);
  out.gate_bias = vector_if(spec.bias, prefix + "gate_proj.bias", spec.inner);
  out.up = matrix(prefix + "up_proj.weight", spec.inner, model_.hidden);
  out.up_bias = vector_if(spec.bias, prefix + "up_proj.bias", spec.inner);
  out.down = matrix(prefix + "down_proj.weight", model_.hidden, spec.inner);
  out.down_bias = vector_if(spec.bias, prefix + "down_proj.bias", model_.hidden);
  return out;
}

void map_builder::gqa(const std::string& prefix, const attention_spec& spec,
                      attention_parameters& out) {
  const uint32_t q_width = spec.heads * spec.head_dim, kv_width = spec.kv_heads * spec.head_dim;
  out.q = matrix(prefix + "q_proj.weight", q_width, model_.hidden);
  out.q_bias = vector_if(spec.qkv_bias, prefix + "q_proj.bias", q_width);
  out.k = matrix(prefix + "k_proj.weight", kv_width, model_.hidden);
  out.k_bias = vector_if(spec.qkv_bias, prefix + "k_proj.bias", kv_width);
  out.v = matrix(prefix + "v_proj.weight", kv_width, model_.hidden);
  out.v_bias = vector_if(spec.qkv_bias, prefix + "v_proj.bias", kv_width);
  const bool normed = spec.norm != qk_norm::none, full = spec.norm == qk_norm::full_width;
  out.q_norm = vector_if(normed, prefix + "q_norm.weight", full ? q_width : spec.head_dim);
  out.k_norm = vector_if(normed, prefix + "k_norm.weight", full ? kv_width : spec.head_dim);
}

void map_builder::latent(const std::string& prefix, const attention_spec& spec,
                         attention_parameters& out) {
  if (spec.q_rank > 0) {
    out.q_down = matrix(prefix + "q_a_proj.weight", spec.q_rank, model_.hidden);
    out.q_down_bias = vector_if(spec.qkv_bias, prefix + "q_a_proj.bias", spec.q_rank);
    out.q_rank_norm = vector(prefix + "q_a_layernorm.weight", spec.q_rank);
    out.q = matrix(prefix + "q_b_proj.weight", spec.query_width(), spec.q_rank);
  } else {
    out.q = matrix(prefix + "q_proj.weight", spec.query_width(), model_.hidden);
  }
  const uint32_t kv_width = spec.kv_rank + spec.rope_dim;
  out.kv_down = matrix(prefix + "kv_a_proj_with_mqa.weight", kv_width, model_.hidden);
  out.kv_down_bias = vector_if(spec.qkv_bias, prefix + "kv_a_proj_with_mqa.bias", kv_width);
  out.kv_rank_norm = vector(prefix + "kv_a_layernorm.weight", spec.kv_rank);
  out.kv_up = matrix(prefix + "kv_b_proj.weight", spec.heads * (spec.nope_dim + spec.value_dim),
                     spec.kv_rank);
}

attention_parameters map_builder::attention(uint32_t layer) {
  owner_ = parameter_owner::attention;
  const auto& spec = model_.layers[layer].attention;
  const std::string prefix = layer_prefix(layer), own = prefix + "self_attn.";
  attention_parameters out;
  out.input_norm = vector(prefix + "input_layernorm.weight", model_.hidden);
  if (spec.kind == attention_kind::latent)
    latent(own, spec, out);
  else
    gqa(own, spec, out);
  out.output = matrix(own + "o_proj.weight", model_.hidden, spec.output_width());
  out.output_bias = vector_if(spec.output_bias, own + "o_proj.bias", model_.hidden);
  out.post_norm = vector(prefix + "post_attention_layernorm.weight", model_.hidden);
  return out;
}

router_parameters map_builder::router(uint32_t layer) {
  owner_ = parameter_owner::router;
  const auto& moe = model_.layers[layer].moe;
  const auto names = names_of(model_.naming, moe.shared_gate);
  const std::string prefix = layer_prefix(layer);
  router_parameters out;
  out.gate = matrix(prefix + names.gate.front(), moe.rule.experts, model_.hidden);
  if (moe.shared.inner > 0) out.shared = mlp(prefix + names.shared_prefix, moe.shared);
  if (moe.shared_gate)
    out.shared_gate = matrix(prefix + "mlp.shared_expert_gate.weight", 1, model_.hidden);
  return out;
}

void map_builder::experts(uint32_t layer, layer_parameters& out) {
  owner_ = parameter_owner::expert;
  const auto& moe = model_.layers[layer].moe;
  const auto names = names_of(model_.naming, moe.shared_gate);
  const std::string prefix = layer_prefix(layer);
  const uint64_t count = moe.rule.experts, inner = moe.inner, hidden = model_.hidden;
  for (expert_ = 0; expert_ < count; ++expert_) {
    const std::string own = text(prefix, names.expert_prefix, expert_);
    mlp_parameters made;
    made.gate = matrix(own + names.expert_gate, moe.inner, model_.hidden);
    made.up = matrix(own + names.expert_up, moe.inner, model_.hidden);
    made.down = matrix(own + names.expert_down, model_.hidden, moe.inner);
    if (model_.naming == moe_naming::granite) { // has no spelling with single experts
      const size_t size = inner * hidden;
      const std::string both = prefix + names.fused_gate_up.front();
      store_fused(made.gate, both, {count, 2 * inner, hidden}, 2 * size * expert_);
      store_fused(made.up, both, {count, 2 * inner, hidden}, 2 * size * expert_ + size);
      store_fused(made.down, prefix + names.fused_down.front(), {count, hidden, inner},
                  size * expert_);
    }
    out.experts.push_back(made);
  }
  expert_ = 0;
}

parameter_map map_builder::build() {
  map_.embedding = matrix(std::string(embedding_name), model_.vocabulary, model_.hidden);
  map_.layers.resize(model_.layers.size());
  for (layer_ = 0; layer_ < model_.layers.size(); ++layer_) {
    auto& layer = map_.layers[layer_];
    layer.attention = attention(layer_);
    if (!model_.layers[layer_].is_moe()) {
      owner_ = parameter_owner::dense;
      layer.dense = mlp(layer_prefix(layer_) + "mlp.", model_.layers[layer_].dense);
      continue;
    }
    layer.router = router(layer_);
    experts(layer_, layer);
  }
  layer_ = 0;
  owner_ = parameter_owner::head;
  map_.head_norm = vector(std::string(final_norm_name), model_.hidden);
  map_.head = model_.tied_embeddings
                  ? map_.embedding
                  : matrix(std::string(head_name), model_.vocabulary, model_.hidden);
  return std::move(map_);
}

// ---- reading ----

struct place {
  const stored_tensor* tensor = nullptr;
  size_t offset = 0;
};

// The tensor that holds a parameter: under its own name, or inside of a fused one.
place find_place(const description& model, const tensor_index& index, const parameter& p,
                 const parameter_map& map) {
  if (const auto* own = index.find(p.stored_name); own != nullptr) return {own, p.stored_offset};
  const std::string prefix = layer_prefix(p.layer);
  const auto& moe = model.layers[p.layer].moe;
  const auto names = names_of(model.naming, moe.shared_gate);
  if (p.owner == parameter_owner::router && p.name == prefix + names.gate.front()) {
    for (const auto& name : names.gate)
      if (const auto* other = index.find(prefix + name); other != nullptr) return {other, 0};
  }
  if (p.owner != parameter_owner::expert) return {};
  const auto& ids = map.layers[p.layer].experts[p.expert];
  const bool down = map[ids.down].name == p.name, up = map[ids.up].name == p.name;
  for (const auto& name : down ? names.fused_down : names.fused_gate_up) {
    const auto* fused = index.find(prefix + name);
    if (fused == nullptr) continue;
    return {fused, (down ? p.expert : size_t{2} * p.expert + (up ? 1 : 0)) * p.count()};
  }
  return {};
}

status read_one(const place& from, const parameter& p, std::span<float> out) {
  if (from.tensor == nullptr) {
    return status(status_code::not_found,
                  text("tensor '", p.stored_name, "' is missing from the checkpoint"));
  }
  const auto& tensor = *from.tensor;
  const std::string label = text(tensor.file, ": tensor '", tensor.name, "'");
  if (!tensor.is_readable() || tensor.paired_heads > 0) {
    return status(status_code::unsupported,
                  text(label, " cannot be trained from ", tensor.type_name,
                       "; use a checkpoint in safetensors of F32, BF16 or F16"));
  }
  const bool whole = from.offset == 0 && tensor.elements() == p.count();
  const bool fits = !tensor.shape.empty() && tensor.elements() >= from.offset + p.count() &&
                    tensor.shape.back() == p.cols;
  if (!fits || (tensor.shape.size() < 3 && !whole)) {
    return status(status_code::corrupt, text(label, " has shape ", tensor.shape_text(), " where ",
                                             p.name, " is [", p.rows, ", ", p.cols, "]"));
  }
  values_of(tensor, from.offset, out);
  const auto bad = std::find_if(out.begin(), out.end(), [](float v) { return !std::isfinite(v); });
  if (bad != out.end()) {
    return status(status_code::corrupt,
                  text(label, " holds a weight that is no number, at element ",
                       from.offset + static_cast<size_t>(bad - out.begin())));
  }
  return {};
}

} // namespace

parameter_map map_parameters(const description& model) {
  return map_builder(model).build();
}

status read_parameters(const description& model, const tensor_index& index, std::span<float> values,
                       const parameter_map& map, std::vector<std::vector<float>>& corrections) {
  TROUPE_CHECK(values.size() == map.scalars);
  for (const auto& p : map.list) {
    const auto from = find_place(model, index, p, map);
    TROUPE_RETURN_IF_ERROR(read_one(from, p, values.subspan(p.offset, p.count())));
  }
  corrections.assign(model.layers.size(), {});
  for (uint32_t layer = 0; layer < model.layers.size(); ++layer) {
    const auto& moe = model.layers[layer].moe;
    if (!moe.correction_bias) continue;
    parameter p;
    p.name = p.stored_name = layer_prefix(layer) + "mlp.gate.e_score_correction_bias";
    p.cols = moe.rule.experts;
    corrections[layer].resize(p.cols);
    TROUPE_RETURN_IF_ERROR(read_one({index.find(p.name), 0}, p, std::span(corrections[layer])));
  }
  return {};
}

template <class T>
void parameter_values<T>::refresh(compute::training_kernels<T>& device) {
  for (parameter_id id = 0; id < map_->list.size(); ++id) {
    const auto& p = (*map_)[id];
    const bool only_looked_up = id == map_->embedding && map_->head != id;
    if (!p.is_matrix || only_looked_up) continue;
    device.transpose(matrix(id), {transposed_.data() + p.offset, p.cols, p.rows, p.rows});
  }
}

template <class T>
parameter_gradients<T>::parameter_gradients(const parameter_map& map)
    : map_(&map), chain_(map.scalars), total_(map.scalars) {
  const bool tied = map.head == map.embedding && map.head != no_parameter;
  if (tied) tied_head_.resize(map[map.head].count());
}

template <class T>
void parameter_gradients<T>::clear() {
  clear_share();
  has_total_ = false;
}

template <class T>
void parameter_gradients<T>::clear_share() {
  std::fill(chain_.begin(), chain_.end(), T(0));
  std::fill(tied_head_.begin(), tied_head_.end(), T(0));
}

template <class T>
compute::matrix_of<T> parameter_gradients<T>::head() {
  if (tied_head_.empty()) return matrix(map_->head);
  const auto& p = (*map_)[map_->head];
  return {tied_head_.data(), p.rows, p.cols, p.cols};
}

template <class T>
std::span<const T> parameter_gradients<T>::finish_share() {
  if (!tied_head_.empty()) {
    const auto table = vector(map_->embedding);
    for (size_t i = 0; i < table.size(); ++i) table[i] = table[i] + tied_head_[i];
    std::fill(tied_head_.begin(), tied_head_.end(), T(0));
  }
  return chain_;
}

template <class T>
void parameter_gradients<T>::add_share(std::span<const T> share, bool is_first) {
  TROUPE_CHECK(share.size() == total_.size());
  if (is_first)
    std::copy(share.begin(), share.end(), total_.begin());
  else
    for (size_t i = 0; i < total_.size(); ++i) total_[i] = total_[i] + share[i];
  has_total_ = true;
}

template <class T>
void parameter_gradients<T>::close_share() {
  const auto share = finish_share();
  if (has_total_)
    add_share(share, false);
  else
    std::swap(total_, chain_);
  has_total_ = true;
  std::fill(chain_.begin(), chain_.end(), T(0));
}

template class parameter_values<float>;
template class parameter_values<double>;
template class parameter_gradients<float>;
template class parameter_gradients<double>;

} // namespace troupe::model
