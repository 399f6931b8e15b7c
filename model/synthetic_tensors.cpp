// Lists tensors in the order in which a model uses them, with a spread that fits their place.
#include "model/synthetic_tensors.hpp"

#include "base/random.hpp"
#include "base/text.hpp"
#include "compute/dtype.hpp"
#include "model/tensor_names.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::model {
namespace {

// What writes into the residual stream of a model whose head is its embedding table has to drown
// the token's own embedding; else every token would be followed by itself.
constexpr float tied_gain = 8;

class tensor_list {
public:
  explicit tensor_list(const description& model)
      : model_(model), write_gain_(model.tied_embeddings ? tied_gain : 1) {}

  std::vector<synthetic_tensor> make() {
    const float table = model_.tied_embeddings ? 1 / std::sqrt(float(model_.hidden)) : 1;
    add(std::string(embedding_name), {model_.vocabulary, model_.hidden}, table);
    for (uint32_t i = 0; i < model_.layers.size(); ++i) add_layer(i);
    norm(std::string(final_norm_name), model_.hidden);
    if (!model_.tied_embeddings) matrix(std::string(head_name), model_.vocabulary, model_.hidden);
    return std::move(tensors_);
  }

private:
  void add(std::string name, std::vector<uint64_t> shape, float spread, float centre = 0) {
    tensors_.push_back(
        {.name = std::move(name), .shape = std::move(shape), .centre = centre, .spread = spread});
  }
  void matrix(std::string name, uint64_t outputs, uint64_t inputs, float gain = 1) {
    add(std::move(name), {outputs, inputs}, gain / std::sqrt(float(inputs)));
  }
  void norm(std::string name, uint64_t width) { add(std::move(name), {width}, 0, 1); }
  void bias_if(bool wanted, std::string name, uint64_t width) {
    if (wanted) add(std::move(name), {width}, 0.1f);
  }

  void add_layer(uint32_t i) {
    const auto& layer = model_.layers[i];
    const std::string prefix = layer_prefix(i);
    norm(prefix + "input_layernorm.weight", model_.hidden);
    if (layer.attention.kind == attention_kind::latent)
      add_latent(prefix + "self_attn.", layer.attention);
    else
      add_gqa(prefix + "self_attn.", layer.attention);
    norm(prefix + "post_attention_layernorm.weight", model_.hidden);
    if (layer.is_moe())
      add_moe(prefix, layer.moe);
    else
      add_mlp(prefix + "mlp.", layer.dense);
  }

  void add_gqa(const std::string& prefix, const attention_spec& spec) {
    const uint64_t q_width = uint64_t{spec.heads} * spec.head_dim;
    const uint64_t kv_width = uint64_t{spec.kv_heads} * spec.head_dim;
    matrix(prefix + "q_proj.weight", q_width, model_.hidden);
    matrix(prefix + "k_proj.weight", kv_width, model_.hidden);
    matrix(prefix + "v_proj.weight", kv_width, model_.hidden);
    bias_if(spec.qkv_bias, prefix + "q_proj.bias", q_width);
    bias_if(spec.qkv_bias, prefix + "k_proj.bias", kv_width);
    bias_if(spec.qkv_bias, prefix + "v_proj.bias", kv_width);
    if (spec.norm != qk_norm::none) {
      const bool full = spec.norm == qk_norm::full_width;
      norm(prefix + "q_norm.weight", full ? q_width : spec.head_dim);
      norm(prefix + "k_norm.weight", full ? kv_width : spec.head_dim);
    }
    add_output(prefix, spec);
  }

  void add_latent(const std::string& prefix, const attention_spec& spec) {
    if (spec.q_rank > 0) {
      matrix(prefix + "q_a_proj.weight", spec.q_rank, model_.hidden);
      bias_if(spec.qkv_bias, prefix + "q_a_proj.bias", spec.q_rank);
      norm(prefix + "q_a_layernorm.weight", spec.q_rank);
      matrix(prefix + "q_b_proj.weight", spec.query_width(), spec.q_rank);
    } else {
      matrix(prefix + "q_proj.weight", spec.query_width(), model_.hidden);
    }
    const uint64_t kv_width = uint64_t{spec.kv_rank} + spec.rope_dim;
    matrix(prefix + "kv_a_proj_with_mqa.weight", kv_width, model_.hidden);
    bias_if(spec.qkv_bias, prefix + "kv_a_proj_with_mqa.bias", kv_width);
    norm(prefix + "kv_a_layernorm.weight", spec.kv_rank);
    matrix(prefix + "kv_b_proj.weight", uint64_t{spec.heads} * (spec.nope_dim + spec.value_dim),
           spec.kv_rank);
    add_output(prefix, spec);
  }

  void add_output(const std::string& prefix, const attention_spec& spec) {
    matrix(prefix + "o_proj.weight", model_.hidden, spec.output_width(), write_gain_);
    bias_if(spec.output_bias, prefix + "o_proj.bias", model_.hidden);
  }

  void add_mlp(const std::string& prefix, const dense_spec& spec) {
    matrix(prefix + "gate_proj.weight", spec.inner, model_.hidden);
    matrix(prefix + "up_proj.weight", spec.inner, model_.hidden);
    matrix(prefix + "down_proj.weight", model_.hidden, spec.inner, write_gain_);
    bias_if(spec.bias, prefix + "gate_proj.bias", spec.inner);
    bias_if(spec.bias, prefix + "up_proj.bias", spec.inner);
    bias_if(spec.bias, prefix + "down_proj.bias", model_.hidden);
  }

  void add_moe(const std::string& prefix, const moe_spec& moe) {
    const moe_names names = names_of(model_.naming, moe.shared_gate);
    matrix(prefix + names.gate.front(), moe.rule.experts, model_.hidden);
    bias_if(moe.correction_bias, prefix + "mlp.gate.e_score_correction_bias", moe.rule.experts);
    if (model_.naming == moe_naming::granite)
      add_fused_experts(prefix, names, moe);
    else
      add_experts(prefix + names.expert_prefix, names, moe);
    if (moe.shared.inner > 0) add_mlp(prefix + names.shared_prefix, moe.shared);
    if (moe.shared_gate) matrix(prefix + "mlp.shared_expert_gate.weight", 1, model_.hidden);
  }

  void add_fused_experts(const std::string& prefix, const moe_names& names, const moe_spec& moe) {
    add(prefix + names.fused_gate_up.front(),
        {moe.rule.experts, uint64_t{moe.inner} * 2, model_.hidden},
        1 / std::sqrt(float(model_.hidden)));
    add(prefix + names.fused_down.front(), {moe.rule.experts, model_.hidden, moe.inner},
        write_gain_ / std::sqrt(float(moe.inner)));
  }

  void add_experts(const std::string& prefix, const moe_names& names, const moe_spec& moe) {
    for (uint32_t e = 0; e < moe.rule.experts; ++e) {
      matrix(text(prefix, e, names.expert_gate), moe.inner, model_.hidden);
      matrix(text(prefix, e, names.expert_up), moe.inner, model_.hidden);
      matrix(text(prefix, e, names.expert_down), model_.hidden, moe.inner, write_gain_);
    }
  }

  const description& model_;
  const float write_gain_;
  std::vector<synthetic_tensor> tensors_;
};

// The sum of four random bytes is close to a normal distribution, and exact arithmetic gives the
// same bits everywhere, which logarithms and cosines of a library would not.
constexpr int bytes_mean = 510;
constexpr float bytes_deviation = 147.801f; // sqrt(4 * (256^2 - 1) / 12)

uint16_t value_of(uint32_t bytes, float centre, float step) {
  const auto sum =
      int(bytes & 0xff) + int(bytes >> 8 & 0xff) + int(bytes >> 16 & 0xff) + int(bytes >> 24);
  return compute::f32_to_bf16(float(sum - bytes_mean) * step + centre);
}

} // namespace

uint64_t synthetic_tensor::elements() const {
  uint64_t count = 1;
  for (const uint64_t dimension : shape) count *= dimension;
  return count;
}

std::vector<synthetic_tensor> synthetic_tensors(const description& model) {
  return tensor_list(model).make();
}

void synthesise(const synthetic_tensor& tensor, uint64_t seed, uint32_t number, uint64_t begin,
                std::span<uint16_t> out) {
  const random_key key{.seed = seed, .subsystem = random_subsystem::weights, .entity = number};
  const float step = tensor.spread / bytes_deviation;
  constexpr uint64_t words = 4; // a block of random words makes as many values
  const uint64_t end = begin + out.size();
  for (uint64_t at = begin; at < end;) {
    const auto block = random_block(key, at / words);
    const uint64_t next = std::min(end, (at / words + 1) * words);
    for (; at < next; ++at) out[at - begin] = value_of(block[at % words], tensor.centre, step);
  }
}

} // namespace troupe::model
