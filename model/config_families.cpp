// One function a family: its fields, its defaults (those of transformers) and what it means by
// them.
#include "model/config_families.hpp"

#include "base/text.hpp"
#include "model/config_rope.hpp"
#include "model/rotary.hpp"

#include <array>
#include <cmath>
#include <utility>

namespace troupe::model {
namespace {

compute::activation read_activation(config_fields& config) {
  constexpr std::array<std::pair<std::string_view, compute::activation>, 6> known = {{
      {"silu", compute::activation::silu},
      {"swish", compute::activation::silu},
      {"gelu", compute::activation::gelu_erf},
      {"gelu_pytorch_tanh", compute::activation::gelu_tanh},
      {"gelu_new", compute::activation::gelu_tanh},
      {"relu", compute::activation::relu},
  }};
  const auto name = config.word("hidden_act", "silu");
  for (const auto& [spelling, kind] : known) {
    if (name == spelling) return kind;
  }
  config.refuse_field(status_code::unsupported, "hidden_act", text("is '", name, "'"));
  return compute::activation::silu;
}

void read_common(config_fields& config, const common_defaults& defaults, description& out) {
  out.vocabulary = config.size("vocab_size", defaults.vocabulary, 1, vocabulary_max);
  out.hidden = config.size("hidden_size", defaults.hidden, 1, width_max);
  out.positions_max =
      config.size("max_position_embeddings", defaults.positions, 1, positions_limit);
  out.norm_eps = static_cast<float>(config.number("rms_norm_eps", defaults.norm_eps, 0, 1));
  out.tied_embeddings = config.flag("tie_word_embeddings", false);
  out.activation = read_activation(config);
  out.layers.resize(config.size("num_hidden_layers", defaults.layers, 1, layers_max));
  // Absent means the family's default, null means none.
  const auto bos = config.ids("bos_token_id");
  if (!bos.empty())
    out.bos_id = bos.front();
  else if (!config.is_null("bos_token_id"))
    out.bos_id = defaults.bos;
  out.eos_ids = config.ids("eos_token_id");
  if (!config.given("eos_token_id") && !config.is_null("eos_token_id") && defaults.eos) {
    out.eos_ids = {*defaults.eos};
  }
}

struct gqa_defaults {
  uint32_t heads = 32;
  uint32_t kv_heads = 0; // 0: as many as heads
  uint32_t head_dim = 0; // 0: hidden / heads
  double theta = 10000;
};

// Heads, their sizes and the rope of a family with separate keys and values.
attention_spec read_gqa(config_fields& config, const gqa_defaults& defaults, description& out) {
  attention_spec attention;
  attention.heads = config.size("num_attention_heads", defaults.heads, 1, heads_max);
  const bool as_heads = defaults.kv_heads == 0 || config.is_null("num_key_value_heads");
  attention.kv_heads = config.size("num_key_value_heads",
                                   as_heads ? attention.heads : defaults.kv_heads, 1, heads_max);
  const uint32_t even_share = out.hidden / attention.heads;
  if (!config.given("head_dim") && defaults.head_dim == 0 && out.hidden % attention.heads != 0) {
    config.refuse_field(
        status_code::corrupt, "hidden_size",
        text("is ", out.hidden, ", which ", attention.heads, " heads do not divide"));
  }
  attention.head_dim = config.size(
      "head_dim", defaults.head_dim != 0 ? defaults.head_dim : even_share, 1, head_dim_max);
  attention.value_dim = attention.head_dim;
  attention.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(attention.head_dim)));
  out.rope = read_rope(config, attention.head_dim, defaults.theta, out.positions_max);
  return attention;
}

// The width of a sliding window; 0 when the field is null (or absent and `fallback` is 0).
uint32_t read_window(config_fields& config, uint32_t fallback) {
  if (config.is_null("sliding_window")) return 0;
  return config.size("sliding_window", fallback, 1, positions_limit);
}

void set_attention(description& out, const attention_spec& attention) {
  for (auto& layer : out.layers) layer.attention = attention;
}

// Windows of Qwen's dense and Qwen2-MoE families: by layer_types, else by the layer's number.
template <class ByNumber>
void read_layer_windows(config_fields& config, description& out,
                        const ByNumber& windowed_by_number) {
  const bool used = config.flag("use_sliding_window", false);
  const uint32_t window = used ? read_window(config, 4096) : 0;
  const auto types = config.words("layer_types");
  if (!types.empty() && types.size() != out.layers.size()) {
    config.refuse_field(status_code::corrupt, "layer_types",
                        text("has ", types.size(), " entries for ", out.layers.size(), " layers"));
    return;
  }
  for (uint32_t i = 0; i < out.layers.size(); ++i) {
    if (!types.empty() && types[i] != "full_attention" && types[i] != "sliding_attention") {
      config.refuse_field(status_code::unsupported, "layer_types", text("holds '", types[i], "'"));
      return;
    }
    const bool windowed = types.empty() ? windowed_by_number(i) : types[i] == "sliding_attention";
    out.layers[i].attention.window = windowed ? window : 0;
  }
}

compute::router_rule softmax_rule(uint32_t experts, uint32_t top_k, bool normalise) {
  return {.score = compute::router_score::softmax,
          .experts = experts,
          .top_k = top_k,
          .normalise = normalise};
}

uint32_t read_top_k(config_fields& config, uint32_t fallback) {
  return config.size("num_experts_per_tok", fallback, 1, experts_max);
}

dense_spec read_dense(config_fields& config, uint32_t inner, bool bias) {
  return {.inner = config.size("intermediate_size", inner, 1, width_max), .bias = bias};
}

// Layers of Qwen's MoE families: dense where listed or where the step does not hit.
void read_sparse_layers(config_fields& config, const moe_spec& moe, const dense_spec& dense,
                        description& out) {
  const uint32_t step = config.size("decoder_sparse_step", 1, 1, layers_max);
  const auto dense_only = config.ids("mlp_only_layers");
  for (uint32_t i = 0; i < out.layers.size(); ++i) {
    bool sparse = moe.rule.experts > 0 && (i + 1) % step == 0;
    for (const int32_t layer : dense_only) sparse = sparse && static_cast<uint32_t>(layer) != i;
    if (sparse)
      out.layers[i].moe = moe;
    else
      out.layers[i].dense = dense;
  }
}

// ---- families with separate keys and values ----

void read_llama(config_fields& config, description& out) {
  read_common(config, {.positions = 2048, .bos = 1, .eos = 2}, out);
  auto attention = read_gqa(config, {}, out);
  attention.qkv_bias = attention.output_bias = config.flag("attention_bias", false);
  set_attention(out, attention);
  const auto dense = read_dense(config, 11008, config.flag("mlp_bias", false));
  for (auto& layer : out.layers) layer.dense = dense;
}

void read_mistral(config_fields& config, description& out) {
  read_common(config, {.positions = 131072, .bos = 1, .eos = 2}, out);
  auto attention = read_gqa(config, {.kv_heads = 8}, out);
  attention.window = read_window(config, 4096);
  set_attention(out, attention);
  const auto dense = read_dense(config, 14336, false);
  for (auto& layer : out.layers) layer.dense = dense;
}

void read_mixtral(config_fields& config, description& out) {
  read_common(config, {.positions = 131072, .norm_eps = 1e-5, .bos = 1, .eos = 2}, out);
  auto attention = read_gqa(config, {.kv_heads = 8, .theta = 1e6}, out);
  attention.window = read_window(config, 0);
  set_attention(out, attention);
  moe_spec moe;
  moe.rule = softmax_rule(config.size_of("num_local_experts", "num_experts", 8, experts_max),
                          read_top_k(config, 2), true);
  moe.inner = config.size("intermediate_size", 14336, 1, width_max);
  for (auto& layer : out.layers) layer.moe = moe;
  out.naming = moe_naming::block_sparse;
}

void read_qwen_dense(config_fields& config, description& out) {
  const bool third = out.name == "qwen3";
  read_common(config, {.vocabulary = 151936, .positions = 32768}, out);
  auto attention = read_gqa(config, {.kv_heads = 32, .head_dim = third ? 128u : 0u}, out);
  attention.qkv_bias = third ? config.flag("attention_bias", false) : true;
  attention.output_bias = third && attention.qkv_bias;
  attention.norm = third ? qk_norm::per_head : qk_norm::none;
  set_attention(out, attention);
  const uint32_t first_windowed = config.size("max_window_layers", 28, 0, UINT32_MAX);
  read_layer_windows(config, out, [first_windowed](uint32_t i) { return i >= first_windowed; });
  const auto dense = read_dense(config, 22016, false);
  for (auto& layer : out.layers) layer.dense = dense;
}

void read_qwen2_moe(config_fields& config, description& out) {
  read_common(config, {.vocabulary = 151936, .hidden = 2048, .layers = 24, .positions = 32768},
              out);
  auto attention = read_gqa(config, {.heads = 16, .kv_heads = 16}, out);
  attention.qkv_bias = config.flag("qkv_bias", true);
  set_attention(out, attention);
  const uint32_t windowed_end = config.size("max_window_layers", 28, 0, UINT32_MAX);
  read_layer_windows(config, out,
                     [windowed_end](uint32_t i) { return i % 2 == 0 && i < windowed_end; });
  moe_spec moe;
  moe.rule = softmax_rule(config.size("num_experts", 60, 0, experts_max), read_top_k(config, 4),
                          config.flag("norm_topk_prob", false));
  moe.inner = config.size("moe_intermediate_size", 1408, 1, width_max);
  moe.shared.inner = config.size("shared_expert_intermediate_size", 5632, 1, width_max);
  moe.shared_gate = true;
  read_sparse_layers(config, moe, read_dense(config, 5632, false), out);
}

void read_qwen3_moe(config_fields& config, description& out) {
  read_common(config, {.vocabulary = 151936, .hidden = 2048, .layers = 24, .positions = 32768},
              out);
  auto attention = read_gqa(config, {.heads = 32, .kv_heads = 4}, out);
  attention.qkv_bias = attention.output_bias = config.flag("attention_bias", false);
  attention.norm = qk_norm::per_head;
  if (config.flag("use_sliding_window", false)) attention.window = read_window(config, 4096);
  set_attention(out, attention);
  moe_spec moe;
  const char* experts = config.given("num_experts") ? "num_experts" : "num_local_experts";
  moe.rule = softmax_rule(config.size(experts, 128, 0, experts_max), read_top_k(config, 8),
                          config.flag("norm_topk_prob", false));
  moe.inner = config.size("moe_intermediate_size", 768, 1, width_max);
  read_sparse_layers(config, moe, read_dense(config, 6144, false), out);
}

void read_olmoe(config_fields& config, description& out) {
  read_common(config,
              {.vocabulary = 50304,
               .hidden = 2048,
               .layers = 16,
               .positions = 4096,
               .norm_eps = 1e-5,
               .eos = 50279},
              out);
  auto attention = read_gqa(config, {.heads = 16}, out);
  attention.qkv_bias = attention.output_bias = config.flag("attention_bias", false);
  attention.norm = qk_norm::full_width;
  attention.clip = static_cast<float>(config.number("clip_qkv", 0, 1e-6, 1e6));
  set_attention(out, attention);
  moe_spec moe;
  moe.rule = softmax_rule(config.size_of("num_experts", "num_local_experts", 64, experts_max),
                          read_top_k(config, 8), config.flag("norm_topk_prob", false));
  moe.inner = config.size("intermediate_size", 2048, 1, width_max);
  for (auto& layer : out.layers) layer.moe = moe;
}

void read_granitemoe(config_fields& config, description& out) {
  read_common(config, {.positions = 2048, .bos = 1, .eos = 2}, out);
  auto attention = read_gqa(config, {}, out);
  attention.qkv_bias = attention.output_bias = config.flag("attention_bias", false);
  attention.scale = static_cast<float>(config.number("attention_multiplier", 1, 1e-9, 1e9));
  set_attention(out, attention);
  out.embedding_multiplier =
      static_cast<float>(config.number("embedding_multiplier", 1, 1e-9, 1e9));
  out.residual_multiplier = static_cast<float>(config.number("residual_multiplier", 1, 1e-9, 1e9));
  out.logits_multiplier = static_cast<float>(1.0 / config.number("logits_scaling", 1, 1e-9, 1e9));
  moe_spec moe;
  moe.rule = softmax_rule(config.size("num_local_experts", 8, 1, experts_max),
                          read_top_k(config, 2), false);
  moe.rule.score = compute::router_score::softmax_of_chosen;
  moe.rule.scale =
      out.residual_multiplier; // the weighted sum of experts is all that the block adds
  moe.inner = config.size("intermediate_size", 11008, 1, width_max);
  for (auto& layer : out.layers) layer.moe = moe;
  out.naming = moe_naming::granite;
}

// ---- the latent families ----

struct latent_defaults {
  uint32_t heads;
  uint32_t q_rank = 1536;
};

attention_spec read_latent(config_fields& config, const latent_defaults& defaults,
                           description& out) {
  attention_spec attention;
  attention.kind = attention_kind::latent;
  attention.heads = config.size("num_attention_heads", defaults.heads, 1, heads_max);
  const uint32_t kv_heads = config.size("num_key_value_heads", attention.heads, 1, heads_max);
  if (kv_heads != attention.heads) {
    config.refuse_field(status_code::unsupported, "num_key_value_heads",
                        text("is ", kv_heads, " with ", attention.heads,
                             " heads: latent attention has one for each"));
  }
  attention.kv_heads = 1;
  if (!config.is_null("q_lora_rank")) {
    attention.q_rank = config.size("q_lora_rank", defaults.q_rank, 1, width_max);
  }
  attention.kv_rank = config.size("kv_lora_rank", 512, 1, width_max);
  attention.nope_dim = config.size("qk_nope_head_dim", 128, 1, head_dim_max);
  attention.rope_dim = config.size("qk_rope_head_dim", 64, 2, head_dim_max);
  attention.value_dim = config.size("v_head_dim", 128, 1, head_dim_max);
  attention.qkv_bias = attention.output_bias = config.flag("attention_bias", false);
  attention.rank_norm_eps = 1e-6f; // whatever rms_norm_eps says
  out.rope = read_rope(config, attention.rope_dim, 10000, out.positions_max);
  double scale = 1.0 / std::sqrt(static_cast<double>(attention.query_head_dim()));
  if (out.rope.kind != rope_kind::plain && out.rope.mscale_all_dim != 0) {
    const double m = yarn_magnitude(out.rope.factor, out.rope.mscale_all_dim);
    scale *= m * m;
  }
  attention.scale = static_cast<float>(scale);
  return attention;
}

// Layers of the DeepSeek families: the first few are dense.
void read_deepseek_layers(config_fields& config, const moe_spec& moe, const dense_spec& dense,
                          uint32_t dense_default, description& out) {
  const uint32_t dense_count = config.size("first_k_dense_replace", dense_default, 0, UINT32_MAX);
  for (uint32_t i = 0; i < out.layers.size(); ++i) {
    if (i < dense_count)
      out.layers[i].dense = dense;
    else
      out.layers[i].moe = moe;
  }
}

void read_shared(config_fields& config, uint32_t count_default, moe_spec& moe) {
  const uint32_t count = config.size(
      "n_shared_experts", config.is_null("n_shared_experts") ? 0 : count_default, 0, experts_max);
  if (uint64_t{count} * moe.inner > width_max) {
    config.refuse_field(status_code::corrupt, "n_shared_experts",
                        text("is ", count, ": together they are wider than ", width_max));
    return;
  }
  moe.shared.inner = count * moe.inner;
}

void read_deepseek_v3(config_fields& config, description& out) {
  read_common(
      config,
      {.vocabulary = 129280, .hidden = 7168, .layers = 61, .positions = 4096, .bos = 0, .eos = 1},
      out);
  set_attention(out, read_latent(config, {.heads = 128}, out));
  out.rope.style = config.flag("rope_interleave", true) ? compute::rope_style::interleaved
                                                        : compute::rope_style::half_split;
  moe_spec moe;
  moe.rule = {.score = compute::router_score::sigmoid,
              .experts = config.size_of("n_routed_experts", "num_local_experts", 256, experts_max),
              .top_k = read_top_k(config, 8),
              .groups = config.size("n_group", 8, 1, experts_max),
              .groups_kept = config.size("topk_group", 4, 1, experts_max),
              .group_by = compute::group_score::sum_of_top_2,
              .masked_to_zero = false,
              .normalise = config.flag("norm_topk_prob", true),
              .normalise_eps = 1e-20f,
              .scale = static_cast<float>(config.number("routed_scaling_factor", 2.5, 0, 1e6))};
  moe.correction_bias = true;
  moe.inner = config.size("moe_intermediate_size", 2048, 1, width_max);
  read_shared(config, 1, moe);
  read_deepseek_layers(config, moe, read_dense(config, 18432, false), 3, out);
}

void read_deepseek_v2(config_fields& config, description& out) {
  read_common(config, {.vocabulary = 102400, .bos = 1, .eos = 2}, out);
  set_attention(out, read_latent(config, {.heads = 32}, out));
  out.rope.style = compute::rope_style::interleaved_in_place;
  const bool mlp_bias = config.flag("mlp_bias", false);
  moe_spec moe;
  moe.rule = softmax_rule(config.size_of("n_routed_experts", "num_experts", 64, experts_max),
                          read_top_k(config, 0), false);
  moe.rule.scale = static_cast<float>(config.number("routed_scaling_factor", 1, 0, 1e6));
  const auto method = config.word("topk_method", "greedy");
  if (method == "group_limited_greedy") {
    moe.rule.groups = config.size("n_group", 0, 1, experts_max);
    moe.rule.groups_kept = config.size("topk_group", 0, 1, experts_max);
  } else if (method != "greedy") {
    config.refuse_field(status_code::unsupported, "topk_method", text("is '", method, "'"));
  }
  moe.inner = config.size("moe_intermediate_size", 1407, 1, width_max);
  read_shared(config, 2, moe);
  moe.shared.bias = mlp_bias;
  read_deepseek_layers(config, moe, read_dense(config, 11008, mlp_bias), 0, out);
}

struct family {
  std::string_view name;
  void (*read)(config_fields&, description&);
};
constexpr std::array<family, 11> families = {{
    {"deepseek_v3", read_deepseek_v3},
    {"deepseek_v2", read_deepseek_v2},
    {"mixtral", read_mixtral},
    {"qwen3_moe", read_qwen3_moe},
    {"qwen2_moe", read_qwen2_moe},
    {"olmoe", read_olmoe},
    {"granitemoe", read_granitemoe},
    {"llama", read_llama},
    {"mistral", read_mistral},
    {"qwen3", read_qwen_dense},
    {"qwen2", read_qwen_dense},
}};

} // namespace

bool read_family(config_fields& config, description& out) {
  for (const auto& family : families) {
    if (family.name != out.name) continue;
    family.read(config, out);
    return true;
  }
  return false;
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const auto& family : families) names.emplace_back(family.name);
  return names;
}

} // namespace troupe::model
