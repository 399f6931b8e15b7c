# Turns a checkpoint into a Hugging Face folder: python export.py --run run --out models/tales.

import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file

from corpus import separator
from model import model_config

# The messages are joined as paragraphs of one text; the model then simply goes on with it.
chat_template = (
    "{% for message in messages %}{{ message['content'] | trim }}"
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}"
)


def hugging_face_config(config):
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "dtype": "bfloat16",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "moe_intermediate_size": config.moe_intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_attention_heads,
        "q_lora_rank": config.q_lora_rank,
        "kv_lora_rank": config.kv_lora_rank,
        "qk_nope_head_dim": config.qk_nope_head_dim,
        "qk_rope_head_dim": config.qk_rope_head_dim,
        "v_head_dim": config.v_head_dim,
        "n_routed_experts": config.n_routed_experts,
        "n_shared_experts": config.n_shared_experts,
        "num_experts_per_tok": config.num_experts_per_tok,
        "n_group": 1,
        "topk_group": 1,
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "norm_topk_prob": True,
        "routed_scaling_factor": config.routed_scaling_factor,
        "first_k_dense_replace": config.first_k_dense_replace,
        "moe_layer_freq": 1,
        "num_nextn_predict_layers": 0,
        "hidden_act": "silu",
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": None,
        "rope_interleave": True,
        "max_position_embeddings": config.max_position_embeddings,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def hugging_face_tensors(state):
    """Names and layout of DeepSeek's own releases: one matrix for each expert, all but the routing bias in bfloat16."""
    tensors = {}
    for name, value in state.items():
        full = name if name.startswith("lm_head") else "model." + name
        if name.endswith("experts.gate_up_proj"):
            for expert, both in enumerate(value):
                gate, up = both.chunk(2)
                tensors[full.replace("gate_up_proj", f"{expert}.gate_proj.weight")] = gate
                tensors[full.replace("gate_up_proj", f"{expert}.up_proj.weight")] = up
        elif name.endswith("mlp.experts.down_proj"):
            for expert, matrix in enumerate(value):
                tensors[full.replace("down_proj", f"{expert}.down_proj.weight")] = matrix
        else:
            tensors[full] = value
    keep = "e_score_correction_bias"
    return {k: (v.float() if keep in k else v.bfloat16()).contiguous().clone() for k, v in tensors.items()}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, type=pathlib.Path, help="the --out folder of train.py")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder to write")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    state = torch.load(options.run / "checkpoint.pt", weights_only=True)
    write_json(options.out / "config.json", hugging_face_config(model_config(**state["config"])))
    write_json(options.out / "generation_config.json", {
        "do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 50,
        "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
    })
    write_json(options.out / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": separator,
        "eos_token": separator,
        "pad_token": separator,
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": state["config"]["max_position_embeddings"],
        "added_tokens_decoder": {"0": {
            "content": separator, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": True,
        }},
        "chat_template": chat_template,
    })
    (options.out / "tokenizer.json").write_bytes((options.run / "tokenizer.json").read_bytes())
    save_file(hugging_face_tensors(state["model"]), options.out / "model.safetensors", metadata={"format": "pt"})
    (options.out / "model.safetensors").chmod(0o644)  # written for the owner only
    print(f"step {state['step']}, {state['minutes']:.1f} minutes -> {options.out}")


if __name__ == "__main__":
    main()
