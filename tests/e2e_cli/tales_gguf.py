# Writes the built-in model as a GGUF file, as llama.cpp's converter would: needs nothing but Python's own library.
"""tales_gguf.py MODEL_FOLDER OUT.gguf"""
import json
import re
import struct
import sys
from pathlib import Path

U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
TYPES = {"F32": 0, "F16": 1, "BF16": 30}
NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.q_a_proj": "attn_q_a", "self_attn.q_b_proj": "attn_q_b", "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "self_attn.kv_b_proj": "attn_kv_b", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp", "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp",
}


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def array(kind, items):
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def read_weights(path):
    data = path.read_bytes()
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        yield name, TYPES[entry["dtype"]], entry["shape"], data[8 + length + begin:8 + length + end]


def tensors_of(folder):
    """[name, type, shape, bytes] with the experts of a layer joined."""
    out, stacks = [], {}
    for name, kind, shape, data in sorted(read_weights(folder / "model.safetensors")):
        layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+?)(\.weight)?", name)
        if not layer:
            known = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
                     "lm_head.weight": "output.weight"}
            out.append([known[name], kind, shape, data])
            continue
        prefix, rest = f"blk.{layer[1]}.", layer[2]
        expert = re.fullmatch(r"mlp\.experts\.(\d+)\.(gate|up|down)_proj", rest)
        if expert:
            stacks.setdefault(f"{prefix}ffn_{expert[2]}_exps.weight", {})[int(expert[1])] = (kind, shape, data)
        elif rest == "mlp.gate.e_score_correction_bias":
            out.append([prefix + "exp_probs_b.bias", kind, shape, data])
        else:
            out.append([prefix + NAMES[rest] + ".weight", kind, shape, data])
    for name, experts in stacks.items():
        parts = [experts[i] for i in range(len(experts))]
        out.append([name, parts[0][0], [len(parts), *parts[0][1]], b"".join(part[2] for part in parts)])
    return out


def metadata_of(folder):
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    advice = json.loads((folder / "generation_config.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    tokens = [token for token, _ in sorted(vocabulary.items(), key=lambda item: item[1])]
    special = {added["content"] for added in tokenizer["added_tokens"]}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    counts = {
        "vocab_size": "vocab_size", "embedding_length": "hidden_size", "block_count": "num_hidden_layers",
        "context_length": "max_position_embeddings", "feed_forward_length": "intermediate_size",
        "attention.head_count": "num_attention_heads", "attention.head_count_kv": "num_key_value_heads",
        "attention.q_lora_rank": "q_lora_rank", "attention.kv_lora_rank": "kv_lora_rank",
        "attention.value_length": "v_head_dim", "rope.dimension_count": "qk_rope_head_dim",
        "expert_count": "n_routed_experts", "expert_used_count": "num_experts_per_tok",
        "expert_feed_forward_length": "moe_intermediate_size", "expert_shared_count": "n_shared_experts",
        "leading_dense_block_count": "first_k_dense_replace",
    }
    out = [("general.architecture", STRING, text("deepseek2")), ("general.name", STRING, text("tales"))]
    out += [("deepseek2." + key, U32, struct.pack("<I", config[field])) for key, field in counts.items()]
    out += [
        ("deepseek2.attention.key_length", U32, struct.pack("<I", config["qk_nope_head_dim"] + config["qk_rope_head_dim"])),
        ("deepseek2.expert_gating_func", U32, struct.pack("<I", 2)),
        ("deepseek2.expert_weights_norm", BOOL, struct.pack("<?", config["norm_topk_prob"])),
        ("deepseek2.expert_weights_scale", F32, struct.pack("<f", config["routed_scaling_factor"])),
        ("deepseek2.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", config["rms_norm_eps"])),
        ("deepseek2.rope.freq_base", F32, struct.pack("<f", config["rope_theta"])),
        ("general.sampling.temp", F32, struct.pack("<f", advice["temperature"])),
        ("general.sampling.top_p", F32, struct.pack("<f", advice["top_p"])),
        ("general.sampling.top_k", I32, struct.pack("<i", advice["top_k"])),
        ("tokenizer.ggml.model", STRING, text("gpt2")),
        ("tokenizer.ggml.pre", STRING, text("dbrx")),
        ("tokenizer.ggml.tokens", ARRAY, array(STRING, [text(token) for token in tokens])),
        ("tokenizer.ggml.token_type", ARRAY, array(I32, [struct.pack("<i", 3 if t in special else 1) for t in tokens])),
        ("tokenizer.ggml.merges", ARRAY, array(STRING, [text(merge) for merge in merges])),
        ("tokenizer.ggml.bos_token_id", U32, struct.pack("<I", config["bos_token_id"])),
        ("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", config["eos_token_id"])),
        ("tokenizer.ggml.add_bos_token", BOOL, struct.pack("<?", settings["add_bos_token"])),
        ("tokenizer.chat_template", STRING, text(settings["chat_template"])),
    ]
    return out


def write(folder, target):
    values, tensors = metadata_of(folder), tensors_of(folder)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    head += b"".join(text(key) + struct.pack("<I", kind) + value for key, kind, value in values)
    data = bytearray()
    for name, kind, shape, content in tensors:
        data += bytes(-len(data) % 32)
        head += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<IQ", kind, len(data))
        data += content
    target.write_bytes(head + bytes(-len(head) % 32) + data)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
