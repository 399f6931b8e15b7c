// The configurations. Widths, layers and experts are those of the public models; where a shape is
// cut down, its summary says so.
#include "model/synthetic_shapes.hpp"

#include <algorithm>
#include <array>

namespace troupe::model {
namespace {

constexpr std::string_view tiny = R"({
  "architectures": ["OlmoeForCausalLM"],
  "model_type": "olmoe",
  "dtype": "bfloat16",
  "vocab_size": 512,
  "hidden_size": 64,
  "intermediate_size": 64,
  "num_hidden_layers": 2,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "num_experts": 8,
  "num_experts_per_tok": 2,
  "norm_topk_prob": false,
  "hidden_act": "silu",
  "rms_norm_eps": 1e-05,
  "rope_theta": 10000.0,
  "max_position_embeddings": 1024,
  "attention_bias": false,
  "clip_qkv": null,
  "tie_word_embeddings": false,
  "bos_token_id": 511,
  "eos_token_id": 511
}
)";

constexpr std::string_view granite = R"({
  "architectures": ["GraniteMoeForCausalLM"],
  "model_type": "granitemoe",
  "dtype": "bfloat16",
  "vocab_size": 49155,
  "hidden_size": 1024,
  "intermediate_size": 512,
  "num_hidden_layers": 24,
  "num_attention_heads": 16,
  "num_key_value_heads": 8,
  "num_local_experts": 32,
  "num_experts_per_tok": 8,
  "attention_multiplier": 0.015625,
  "embedding_multiplier": 12.0,
  "residual_multiplier": 0.22,
  "logits_scaling": 6.0,
  "hidden_act": "silu",
  "rms_norm_eps": 1e-06,
  "rope_theta": 10000.0,
  "max_position_embeddings": 4096,
  "attention_bias": false,
  "tie_word_embeddings": true,
  "bos_token_id": 49154,
  "eos_token_id": 49154
}
)";

constexpr std::string_view olmoe = R"({
  "architectures": ["OlmoeForCausalLM"],
  "model_type": "olmoe",
  "dtype": "bfloat16",
  "vocab_size": 50304,
  "hidden_size": 2048,
  "intermediate_size": 1024,
  "num_hidden_layers": 16,
  "num_attention_heads": 16,
  "num_key_value_heads": 16,
  "num_experts": 64,
  "num_experts_per_tok": 8,
  "norm_topk_prob": false,
  "hidden_act": "silu",
  "rms_norm_eps": 1e-05,
  "rope_theta": 10000.0,
  "max_position_embeddings": 4096,
  "attention_bias": false,
  "clip_qkv": null,
  "tie_word_embeddings": false,
  "bos_token_id": 50303,
  "eos_token_id": 50303
}
)";

constexpr std::string_view deepseek_lite = R"({
  "architectures": ["DeepseekV2ForCausalLM"],
  "model_type": "deepseek_v2",
  "dtype": "bfloat16",
  "vocab_size": 102400,
  "hidden_size": 2048,
  "intermediate_size": 10944,
  "moe_intermediate_size": 1408,
  "num_hidden_layers": 8,
  "num_attention_heads": 16,
  "num_key_value_heads": 16,
  "q_lora_rank": null,
  "kv_lora_rank": 512,
  "qk_nope_head_dim": 128,
  "qk_rope_head_dim": 64,
  "v_head_dim": 128,
  "n_routed_experts": 64,
  "n_shared_experts": 2,
  "num_experts_per_tok": 6,
  "topk_method": "greedy",
  "scoring_func": "softmax",
  "norm_topk_prob": false,
  "routed_scaling_factor": 1.0,
  "first_k_dense_replace": 1,
  "hidden_act": "silu",
  "rms_norm_eps": 1e-06,
  "rope_theta": 10000.0,
  "rope_scaling": {
    "type": "yarn",
    "factor": 40,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 0.707,
    "mscale_all_dim": 0.707,
    "original_max_position_embeddings": 4096
  },
  "max_position_embeddings": 163840,
  "attention_bias": false,
  "tie_word_embeddings": false,
  "bos_token_id": 102399,
  "eos_token_id": 102399
}
)";

constexpr std::string_view qwen_small = R"({
  "architectures": ["Qwen3MoeForCausalLM"],
  "model_type": "qwen3_moe",
  "dtype": "bfloat16",
  "vocab_size": 151936,
  "hidden_size": 1024,
  "intermediate_size": 3072,
  "moe_intermediate_size": 384,
  "num_hidden_layers": 16,
  "num_attention_heads": 16,
  "num_key_value_heads": 4,
  "head_dim": 128,
  "num_experts": 64,
  "num_experts_per_tok": 8,
  "norm_topk_prob": true,
  "decoder_sparse_step": 1,
  "mlp_only_layers": [],
  "use_sliding_window": false,
  "hidden_act": "silu",
  "rms_norm_eps": 1e-06,
  "rope_theta": 1000000.0,
  "max_position_embeddings": 40960,
  "attention_bias": false,
  "tie_word_embeddings": false,
  "bos_token_id": 151935,
  "eos_token_id": 151935
}
)";

constexpr std::array<synthetic_shape, 5> shapes = {{
    {"tiny", "two layers of OLMoE's kind, for tests", tiny},
    {"granite-1b-a400m", "Granite 3.0 1B A400M: 24 layers, 32 experts, 8 for each token", granite},
    {"olmoe-1b-7b", "OLMoE 1B 7B: 16 layers, 64 experts, 8 for each token", olmoe},
    {"dsv2-lite-8l",
     "8 of the 27 layers of DeepSeek-V2-Lite: latent attention, 64 experts, 6 for "
     "each token, 2 shared",
     deepseek_lite},
    {"qwen3-moe-small", "Qwen3 MoE cut down to 16 layers: 64 experts, 8 for each token",
     qwen_small},
}};

} // namespace

std::span<const synthetic_shape> synthetic_shapes() {
  return shapes;
}

const synthetic_shape* find_synthetic_shape(std::string_view name) {
  const auto* at = std::find_if(shapes.begin(), shapes.end(),
                                [&](const synthetic_shape& each) { return each.name == name; });
  return at == shapes.end() ? nullptr : &*at;
}

} // namespace troupe::model
