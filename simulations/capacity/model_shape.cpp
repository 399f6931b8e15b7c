// Counting parameters and operations.
#include "simulations/capacity/model_shape.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <array>

namespace troupe::simulations::capacity {
namespace {

struct preset {
  std::string_view name;
  double weight_bytes; // as published: bf16, or fp8 with block scales
  std::string_view config;
};

constexpr std::array<preset, 3> presets = {{
    {"mixtral-8x7b", 2, R"({"model_type": "mixtral", "vocab_size": 32000, "hidden_size": 4096,
      "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
      "max_position_embeddings": 32768, "sliding_window": null, "rope_theta": 1000000.0})"},
    {"qwen3-30b-a3b", 2, R"({"model_type": "qwen3_moe", "vocab_size": 151936, "hidden_size": 2048,
      "intermediate_size": 6144, "moe_intermediate_size": 768, "num_hidden_layers": 48,
      "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128,
      "num_experts_per_tok": 8, "norm_topk_prob": true, "decoder_sparse_step": 1,
      "mlp_only_layers": [], "max_position_embeddings": 40960, "rope_theta": 1000000.0})"},
    {"deepseek-v3", 1, R"({"model_type": "deepseek_v3", "vocab_size": 129280, "hidden_size": 7168,
      "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 61,
      "num_attention_heads": 128, "num_key_value_heads": 128, "q_lora_rank": 1536,
      "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
      "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8,
      "topk_group": 4, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
      "norm_topk_prob": true, "routed_scaling_factor": 2.5, "first_k_dense_replace": 3,
      "moe_layer_freq": 1, "max_position_embeddings": 163840, "rope_theta": 10000})"},
}};

constexpr double kv_element_bytes = 2;
constexpr double feed_forward_matrices = 3; // gate, up, down

void read_attention(const model::attention_spec& from, double hidden, layer_shape& out) {
  const double heads = from.heads;
  out.window = from.window;
  if (from.kind == model::attention_kind::latent) {
    const double cached = from.kv_rank + from.rope_dim;
    const double queries = from.q_rank > 0
                               ? hidden * from.q_rank + double(from.q_rank) * from.query_width()
                               : hidden * from.query_width();
    out.attention_params = queries + hidden * cached +
                           from.kv_rank * heads * (from.nope_dim + from.value_dim) +
                           double(from.output_width()) * hidden;
    // With the up-projections absorbed into queries and outputs, as decoding does it.
    out.score_flops = 2 * heads * (cached + from.kv_rank);
    out.expanded_score_flops = 2 * heads * (from.nope_dim + from.rope_dim + from.value_dim);
    out.expand_flops = 2.0 * from.kv_rank * heads * (from.nope_dim + from.value_dim);
    out.kv_bytes = cached * kv_element_bytes;
    return;
  }
  const double keys_values = 2.0 * from.kv_heads * from.head_dim;
  out.attention_params =
      hidden * (from.query_width() + keys_values) + double(from.output_width()) * hidden;
  out.score_flops = 4 * heads * from.head_dim;
  out.kv_bytes = keys_values * kv_element_bytes;
}

layer_shape read_layer(const model::layer_spec& from, double hidden) {
  layer_shape out;
  read_attention(from.attention, hidden, out);
  if (!from.is_moe()) {
    out.dense_params = feed_forward_matrices * hidden * from.dense.inner;
    return out;
  }
  out.dense_params =
      feed_forward_matrices * hidden * from.moe.shared.inner + hidden * from.moe.rule.experts;
  out.expert_params = feed_forward_matrices * hidden * from.moe.inner;
  return out;
}

} // namespace

double model_shape::params() const {
  double sum = head_params + table_params;
  for (const auto& layer : layers)
    sum += layer.attention_params + layer.dense_params + layer.expert_params * experts;
  return sum;
}

double model_shape::active_params() const {
  double sum = head_params;
  for (const auto& layer : layers)
    sum += layer.attention_params + layer.dense_params + layer.expert_params * top_k;
  return sum;
}

double model_shape::kv_bytes_per_token() const {
  double sum = 0;
  for (const auto& layer : layers) sum += layer.kv_bytes;
  return sum;
}

model_shape shape_of(const model::description& from, std::string name, double weight_bytes) {
  model_shape out;
  out.name = std::move(name);
  out.hidden = from.hidden;
  out.vocabulary = from.vocabulary;
  out.experts = from.experts_max();
  out.top_k = from.top_k_max();
  out.weight_bytes = weight_bytes;
  out.head_params = double(from.vocabulary) * from.hidden;
  out.table_params = out.head_params; // tied or not, the first stage has a copy
  for (const auto& layer : from.layers) out.layers.push_back(read_layer(layer, from.hidden));
  return out;
}

std::vector<std::string> model_names() {
  std::vector<std::string> out;
  for (const auto& each : presets) out.emplace_back(each.name);
  return out;
}

result<model_shape> model_named(std::string_view name) {
  for (const auto& each : presets) {
    if (each.name != name) continue;
    const auto read = model::parse_config(each.config, name);
    TROUPE_CHECK(read.has_value()); // ours, and tested
    return shape_of(*read, std::string(name), each.weight_bytes);
  }
  const std::string near = nearest_name(name, model_names());
  return fail(status_code::invalid_argument,
              text("'", name,
                   "' is neither a directory with a config.json nor one of mixtral-8x7b, "
                   "qwen3-30b-a3b, deepseek-v3",
                   near.empty() ? "" : text("; did you mean ", near, "?")));
}

} // namespace troupe::simulations::capacity
