# The table of golden checkpoints: for each its config.json, how its weights are stored, and which options must matter.
"""Every spec is a dict with the keys

name       folder under models/
config     written to config.json as it is; absent fields exercise the loader's defaults
dtype      how weights are stored: f32, bf16, f16, or mixed (bf16, norms and biases f32)
fused      experts as 3-D tensors instead of one tensor per expert
shards     number of weight files
router_bias_mean  centre of e_score_correction_bias
ablations  config overrides that must change the logits, {label: {field: value}}
inert      config overrides that must change nothing
features   one line for people
"""

VOCAB = 192
YARN = {"factor": 40, "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1}


def spec(name, config, features, **options):
    defaults = dict(dtype="f32", fused=False, shards=1, router_bias_mean=0.1, ablations={}, inert={})
    assert set(options) <= set(defaults), options
    return dict(name=name, config=config, features=features, **{**defaults, **options})


def mla(model_type, arch, **fields):
    base = dict(
        architectures=[arch], model_type=model_type, vocab_size=VOCAB, hidden_size=48, intermediate_size=56,
        moe_intermediate_size=20, num_hidden_layers=3, num_attention_heads=3, num_key_value_heads=3,
        n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=3, n_group=4, topk_group=2,
        first_k_dense_replace=1, q_lora_rank=20, kv_lora_rank=16, qk_nope_head_dim=12, qk_rope_head_dim=8,
        v_head_dim=10, max_position_embeddings=512, rms_norm_eps=1e-6, bos_token_id=0, eos_token_id=1,
        hidden_act="silu", tie_word_embeddings=False, attention_bias=False,
    )
    return drop({**base, **fields})


def deepseek_v3(**fields):
    return mla("deepseek_v3", "DeepseekV3ForCausalLM", **{
        "norm_topk_prob": True, "routed_scaling_factor": 2.5, "topk_method": "noaux_tc", "scoring_func": "sigmoid",
        "moe_layer_freq": 1, **fields})


def deepseek_v2(**fields):
    return mla("deepseek_v2", "DeepseekV2ForCausalLM", **{
        "norm_topk_prob": False, "routed_scaling_factor": 1.0, "scoring_func": "softmax", "bos_token_id": 1,
        "eos_token_id": 2, "moe_layer_freq": 1, **fields})


def plain(model_type, arch, **fields):
    base = dict(
        architectures=[arch], model_type=model_type, vocab_size=VOCAB, hidden_size=48, intermediate_size=40,
        num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        rms_norm_eps=1e-5, hidden_act="silu", tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
    )
    return drop({**base, **fields})


def mixtral(**fields):
    return plain("mixtral", "MixtralForCausalLM", **{"num_local_experts": 6, "num_experts_per_tok": 2, **fields})


def qwen3_moe(**fields):
    return plain("qwen3_moe", "Qwen3MoeForCausalLM", **{
        "num_experts": 12, "num_experts_per_tok": 3, "moe_intermediate_size": 16, "bos_token_id": 3,
        "eos_token_id": 4, "rms_norm_eps": 1e-6, **fields})


def olmoe(**fields):
    return plain("olmoe", "OlmoeForCausalLM", **{
        "num_experts": 10, "num_experts_per_tok": 3, "intermediate_size": 20, "bos_token_id": None, **fields})


def llama(**fields):
    return plain("llama", "LlamaForCausalLM", **{"num_hidden_layers": 2, "intermediate_size": 72, **fields})


def drop(config):
    return {k: v for k, v in config.items() if v is not ...}


def make_specs():
    return [*deepseek_v3_specs(), *mixtral_specs(), *qwen3_moe_specs(), *deepseek_v2_specs(), *olmoe_specs(),
            *llama_specs(), *qwen3_specs(), *extra_specs()]


def deepseek_v3_specs():
    return [
        spec("deepseek_v3_base", deepseek_v3(rope_theta=10000, rope_scaling=None, torch_dtype="float32"),
             "q_lora, 4 groups, one dense layer, v4 spelling without scaling",
             ablations={"topk_group": {"topk_group": 4}, "norm": {"norm_topk_prob": False},
                        "scale": {"routed_scaling_factor": 1.0}, "theta": {"rope_theta": 500.0},
                        "interleave": {"rope_interleave": False}, "top_k": {"num_experts_per_tok": 2}}),
        spec("deepseek_v3_yarn", deepseek_v3(
                rope_theta=10000, rope_scaling={"type": "yarn", **YARN, "mscale": 1.0, "mscale_all_dim": 1.0},
                torch_dtype="bfloat16", max_position_embeddings=163840, n_shared_experts=2, qk_rope_head_dim=16,
                num_hidden_layers=2, eos_token_id=[1, 5, 9]),
             "YaRN as released V3, 2 shared experts, bf16, list of eos", dtype="bf16",
             ablations={"no_scaling": {"rope_scaling": None},
                        "no_mscale": {"rope_scaling": {"type": "yarn", **YARN}},
                        "no_truncate": {"rope_scaling": {"type": "yarn", **YARN, "mscale": 1.0,
                                                         "mscale_all_dim": 1.0, "truncate": False}}}),
        spec("deepseek_v3_yarn_mscale", deepseek_v3(
                rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, **YARN, "mscale": 1.3,
                                 "mscale_all_dim": 0.6, "truncate": False, "beta_fast": 16, "beta_slow": 2},
                dtype="float32", q_lora_rank=None, n_group=1, topk_group=1, norm_topk_prob=False,
                first_k_dense_replace=0, n_shared_experts=2, num_hidden_layers=2, routed_scaling_factor=1.7),
             "mscale differs from mscale_all_dim, no q_lora, one group, no norm, no dense layer, v5 spelling",
             ablations={"norm": {"norm_topk_prob": True}, "scale": {"routed_scaling_factor": 1.0},
                        "mscale": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, **YARN, "mscale": 1.0,
                                   "mscale_all_dim": 1.0, "truncate": False, "beta_fast": 16, "beta_slow": 2}},
                        "truncate": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, **YARN, "mscale": 1.3,
                                     "mscale_all_dim": 0.6, "truncate": True, "beta_fast": 16, "beta_slow": 2}},
                        "betas": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, **YARN, "mscale": 1.3,
                                  "mscale_all_dim": 0.6, "truncate": False}}}),
        spec("deepseek_v3_half_split", deepseek_v3(
                rope_interleave=False, attention_bias=True, tie_word_embeddings=True, first_k_dense_replace=2,
                num_hidden_layers=4, rope_parameters={"rope_type": "default", "rope_theta": 2000.0}, dtype="float32"),
             "rope_interleave false, attention_bias, tied, two dense layers, fused experts", fused=True,
             ablations={"interleave": {"rope_interleave": True}}),
        spec("deepseek_v3_negative_bias", deepseek_v3(
                n_routed_experts=16, num_experts_per_tok=4, rope_theta=10000.0, moe_intermediate_size=12),
             "all biased scores negative: the group mask must be -inf, not 0.0; three shards; dtype key absent",
             shards=3, router_bias_mean=-1.6, ablations={"topk_group": {"topk_group": 4}}),
        spec("deepseek_v3_one_group", deepseek_v3(
                n_group=1, topk_group=1, routed_scaling_factor=2.827, rope_theta=50000.0,
                rope_scaling={"type": "yarn", "factor": 32, "original_max_position_embeddings": 4096, "beta_fast": 1,
                              "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
                rms_norm_eps=0.05, moe_layer_freq=2, torch_dtype="float16", n_routed_experts=12, num_hidden_layers=3),
             "Kimi-like; large rms_norm_eps (inner MLA norms keep 1e-6); moe_layer_freq 2 ignored; f16", dtype="f16",
             ablations={"eps": {"rms_norm_eps": 1e-6}}, inert={"freq": {"moe_layer_freq": 1}}),
        spec("deepseek_v3_defaults", drop(deepseek_v3(
                num_hidden_layers=5, n_routed_experts=24, moe_intermediate_size=8, intermediate_size=24,
                n_group=..., topk_group=..., num_experts_per_tok=..., first_k_dense_replace=..., norm_topk_prob=...,
                routed_scaling_factor=..., rms_norm_eps=..., n_shared_experts=..., hidden_act=...,
                tie_word_embeddings=..., attention_bias=..., max_position_embeddings=..., topk_method=...,
                scoring_func=..., moe_layer_freq=..., bos_token_id=..., eos_token_id=...)),
             "every field that has a usable default is absent; norms f32, the rest bf16", dtype="mixed"),
    ]


def mixtral_specs():
    return [
        spec("mixtral_base", mixtral(rms_norm_eps=..., sliding_window=None, torch_dtype="float32", head_dim=None),
             "rope_theta absent (1e6), head_dim null, rms_norm_eps absent (1e-5)",
             ablations={"theta": {"rope_theta": 10000.0}, "top_k": {"num_experts_per_tok": 3}}),
        spec("mixtral_sliding", mixtral(
                sliding_window=16, head_dim=20, rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
                dtype="bfloat16", num_local_experts=4),
             "window smaller than the prompts, head_dim 20, fused experts, bf16", dtype="bf16", fused=True,
             ablations={"window_17": {"sliding_window": 17}, "window_15": {"sliding_window": 15},
                        "no_window": {"sliding_window": None}}),
        spec("mixtral_top3", mixtral(
                num_experts_per_tok=3, num_key_value_heads=1, tie_word_embeddings=True, rope_theta=5000,
                eos_token_id=[2, 7], torch_dtype="float16", rms_norm_eps=0.02),
             "top 3, one kv head, tied, eos list, two shards, f16", dtype="f16", shards=2,
             ablations={"eps": {"rms_norm_eps": 1e-5}, "top_k": {"num_experts_per_tok": 2}}),
    ]


def qwen3_moe_specs():
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    return [
        spec("qwen3_moe_base", qwen3_moe(
                norm_topk_prob=True, head_dim=16, rope_theta=1000000.0, rope_scaling=None, torch_dtype="float32",
                decoder_sparse_step=1, mlp_only_layers=[]),
             "norm_topk_prob, head_dim other than hidden/heads, GQA", ablations={"norm": {"norm_topk_prob": False}}),
        spec("qwen3_moe_sparse_step", qwen3_moe(
                decoder_sparse_step=2, mlp_only_layers=[3], num_hidden_layers=6, attention_bias=True,
                tie_word_embeddings=True, rope_theta=10000, moe_intermediate_size=24, num_experts=6, head_dim=16),
             "MoE in layers 1 and 5 only, norm_topk_prob absent (false), biases, tied, bf16", dtype="bf16",
             ablations={"norm": {"norm_topk_prob": True}}),
        spec("qwen3_moe_sliding", qwen3_moe(
                use_sliding_window=True, sliding_window=24, max_window_layers=2, norm_topk_prob=True, head_dim=16,
                rope_parameters={**yarn, "rope_theta": 1000000.0, "attention_factor": 1.25, "beta_fast": 24.0,
                                 "beta_slow": 2.0}, dtype="bfloat16", num_experts=..., num_local_experts=12),
             "window in every layer, YaRN with given attention_factor, fused, bf16, num_local_experts spelling",
             dtype="bf16", fused=True,
             ablations={"window": {"use_sliding_window": False}, "window_25": {"sliding_window": 25},
                        "factor": {"rope_parameters": {**yarn, "rope_theta": 1e6, "beta_fast": 24.0,
                                                       "beta_slow": 2.0}}},
             inert={"max_window_layers": {"max_window_layers": 0}}),
        spec("qwen3_moe_yarn", qwen3_moe(
                norm_topk_prob=False, rope_theta=10000.0, rope_scaling=yarn, use_sliding_window=False,
                sliding_window=4, torch_dtype="bfloat16", max_position_embeddings=256),
             "YaRN without mscale, head_dim absent (hidden/heads), sliding_window set but off, bf16", dtype="bf16",
             ablations={"no_yarn": {"rope_scaling": None}, "factor": {"rope_scaling": {**yarn, "factor": 2.0}}},
             inert={"window": {"sliding_window": 4096}}),
    ]


def deepseek_v2_specs():
    lite = {"type": "yarn", **YARN, "mscale": 0.707, "mscale_all_dim": 0.707}
    return [
        spec("deepseek_v2_lite", deepseek_v2(
                q_lora_rank=None, topk_method="greedy", n_group=1, topk_group=1, n_shared_experts=2, rope_theta=10000,
                rope_scaling=lite, torch_dtype="bfloat16", max_position_embeddings=163840),
             "as V2-Lite: greedy, no q_lora, YaRN 0.707, bf16", dtype="bf16",
             ablations={"mscale": {"rope_scaling": {**lite, "mscale": 1.0, "mscale_all_dim": 1.0}},
                        "no_yarn": {"rope_scaling": None}},
             inert={"norm": {"norm_topk_prob": True}}),
        spec("deepseek_v2_groups", deepseek_v2(
                topk_method="group_limited_greedy", routed_scaling_factor=4.0, norm_topk_prob=True, attention_bias=True,
                rope_parameters={"rope_theta": 10000.0, "rope_type": "default"}, dtype="float32", num_hidden_layers=2,
                n_routed_experts=12, num_experts_per_tok=4),
             "group_limited_greedy, norm_topk_prob true but ignored, attention_bias, fused", fused=True,
             ablations={"greedy": {"topk_method": "greedy"}, "scale": {"routed_scaling_factor": 1.0},
                        "topk_group": {"topk_group": 3}},
             inert={"norm": {"norm_topk_prob": False}}),
        spec("deepseek_v2_mlp_bias", deepseek_v2(
                mlp_bias=True, tie_word_embeddings=True, first_k_dense_replace=..., n_shared_experts=...,
                topk_method=..., n_group=..., topk_group=..., rope_theta=20000.0, num_hidden_layers=2,
                routed_scaling_factor=...,
                rope_scaling={"type": "yarn", **YARN, "mscale": 1.0, "mscale_all_dim": 0.5}),
             "mlp_bias on shared experts, tied, defaults (greedy, no dense layer, 2 shared), mscale differs",
             ablations={"mscale": {"rope_scaling": {"type": "yarn", **YARN, "mscale": 0.5, "mscale_all_dim": 0.5}}}),
    ]


def olmoe_specs():
    return [
        spec("olmoe_base", olmoe(num_key_value_heads=4, norm_topk_prob=False, rope_theta=10000.0, torch_dtype="float32",
                                 clip_qkv=None),
             "MHA, no renormalisation, no clip", ablations={"norm": {"norm_topk_prob": True}}),
        spec("olmoe_clip", olmoe(
                clip_qkv=0.8, norm_topk_prob=True, attention_bias=True, dtype="bfloat16",
                rope_parameters={"rope_theta": 10000.0, "rope_type": "default"}),
             "clip_qkv, GQA, renormalised, biases, fused, bf16", dtype="bf16", fused=True,
             ablations={"clip": {"clip_qkv": None}, "norm": {"norm_topk_prob": False}}),
        spec("olmoe_linear_rope", olmoe(
                tie_word_embeddings=True, rope_theta=10000.0, rope_scaling={"type": "linear", "factor": 2.5},
                rms_norm_eps=..., num_key_value_heads=None, eos_token_id=50279, torch_dtype="float16"),
             "kv heads null, tied, linear rope, eos outside the vocabulary, f16", dtype="f16",
             ablations={"linear": {"rope_scaling": None}}),
    ]


def llama_specs():
    yarn = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 64}
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 64}
    longrope = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 68,
                "short_factor": [1.0, 1.1, 1.3, 1.6, 2.0, 2.4], "long_factor": [1.2, 1.7, 2.5, 4.0, 6.0, 9.0]}
    long_config = {"max_position_embeddings": 272}
    return [
        spec("llama_base", llama(rope_theta=500000.0, rope_scaling=None, torch_dtype="bfloat16", pretraining_tp=1),
             "GQA, v4 spelling, bf16", dtype="bf16", ablations={"theta": {"rope_theta": 10000.0}}),
        spec("llama_bias", llama(
                attention_bias=True, mlp_bias=True, tie_word_embeddings=True, head_dim=20, num_key_value_heads=...,
                rms_norm_eps=..., hidden_act="gelu_pytorch_tanh", eos_token_id=[2, 3]),
             "all biases, tied, MHA by default, head_dim 20, tanh gelu, rope_theta absent",
             ablations={"act": {"hidden_act": "silu"}}),
        spec("llama_linear", llama(rope_theta=10000.0, rope_scaling={"type": "linear", "factor": 4}),
             "linear rope", ablations={"factor": {"rope_scaling": None}}),
        spec("llama_dynamic", llama(rope_theta=10000.0, rope_scaling={"type": "dynamic", "factor": 3.0},
                                    max_position_embeddings=68),
             "dynamic NTK; the 70 token prompt is beyond max_position_embeddings",
             ablations={"factor": {"rope_scaling": None}}),
        spec("llama_yarn", llama(rope_parameters={**yarn, "truncate": False, "beta_fast": 8.0, "beta_slow": 0.5},
                                 dtype="float32"),
             "YaRN with truncate false and own betas",
             ablations={"truncate": {"rope_parameters": {**yarn, "beta_fast": 8.0, "beta_slow": 0.5}},
                        "betas": {"rope_parameters": {**yarn, "truncate": False}}}),
        spec("llama_llama3", llama(rope_theta=50000.0, rope_scaling=llama3), "llama3 rope: all three bands",
             ablations={"factor": {"rope_scaling": None},
                        "high": {"rope_scaling": {**llama3, "high_freq_factor": 8.0}}}),
        spec("llama_longrope", llama(rope_parameters=longrope, dtype="float32", **long_config),
             "longrope; the 70 token prompt uses long_factor, the others short_factor",
             ablations={"long": {"rope_parameters": {**longrope, "long_factor": longrope["short_factor"]}},
                        "given": {"rope_parameters": {**longrope, "attention_factor": 1.0}}}),
    ]


def qwen3_specs():
    qwen3 = lambda **f: plain("qwen3", "Qwen3ForCausalLM", **{
        "num_hidden_layers": 2, "intermediate_size": 72, "bos_token_id": 3, "eos_token_id": [4, 6], **f})
    return [
        spec("qwen3_base", qwen3(head_dim=16, rope_theta=1000000, rms_norm_eps=..., torch_dtype="bfloat16",
                                 tie_word_embeddings=True),
             "q/k norm per head, tied, bf16", dtype="bf16"),
        spec("qwen3_sliding", qwen3(
                num_hidden_layers=3, use_sliding_window=True, sliding_window=20, max_window_layers=1, head_dim=12,
                attention_bias=True, rope_parameters={"rope_theta": 10000.0, "rope_type": "default"}),
             "window in layers 1 and 2 only, biases",
             ablations={"window": {"use_sliding_window": False}, "layers": {"max_window_layers": 0},
                        "window_21": {"sliding_window": 21}}),
    ]


def extra_specs():
    moe = plain("qwen2_moe", "Qwen2MoeForCausalLM", num_experts=6, num_experts_per_tok=2, moe_intermediate_size=16,
                shared_expert_intermediate_size=28, rope_theta=10000.0, decoder_sparse_step=1, norm_topk_prob=False,
                use_sliding_window=True, sliding_window=18, max_window_layers=2, num_hidden_layers=3)
    return [
        spec("extra_qwen2_moe", moe, "shared expert with sigmoid gate, qkv bias by default, window in layer 0 only, bf16", dtype="bf16",
             ablations={"norm": {"norm_topk_prob": True}, "window": {"use_sliding_window": False},
                        "layers": {"max_window_layers": 3}}),
        spec("extra_mistral", plain("mistral", "MistralForCausalLM", sliding_window=12, rope_theta=10000.0,
                                    num_hidden_layers=2, head_dim=16, torch_dtype="bfloat16"),
             "dense with window 12, bf16", dtype="bf16", ablations={"window": {"sliding_window": 13}}),
        spec("extra_qwen2", plain("qwen2", "Qwen2ForCausalLM", rope_theta=1000000.0, num_hidden_layers=2,
                                  tie_word_embeddings=True, torch_dtype="float16"),
             "dense with q/k/v bias, no o bias, tied, f16", dtype="f16"),
        spec("extra_granitemoe", plain("granitemoe", "GraniteMoeForCausalLM", num_local_experts=6, num_experts_per_tok=3,
                                       intermediate_size=24, attention_bias=True, attention_multiplier=0.35,
                                       embedding_multiplier=3.0, residual_multiplier=0.4, logits_scaling=2.5,
                                       num_hidden_layers=2, torch_dtype="bfloat16"),
             "softmax over the chosen logits, packed experts, four multipliers, biases, bf16", dtype="bf16",
             ablations={"attention": {"attention_multiplier": 1.0}, "embedding": {"embedding_multiplier": 1.0},
                        "residual": {"residual_multiplier": 1.0}, "logits": {"logits_scaling": 1.0}}),
    ]
