# Makes gguf/: files by the Python package gguf and what it and sentencepiece read from them, as goldens for the GGUF reader.
"""
blocks.gguf    for every type of blocks a tensor of random bytes, NAME, and its values as the package
               dequantises them, NAME.f32
llama.gguf     models/llama_base through the package's own table of tensor names, weights in F16, with
               a SentencePiece tokenizer
sentences.json texts and the tokens that sentencepiece makes of them with that tokenizer
names.json     for each architecture: name in other checkpoints -> name in GGUF files

Needs requirements-gguf.txt; run as make_gguf.py [OUTPUT FOLDER].
"""
import io
import json
import pathlib
import struct
import sys

import gguf
import numpy as np
import sentencepiece

HERE = pathlib.Path(__file__).resolve().parent
TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"]
SCALES = {"Q2_K": [80, 82], "Q3_K": [108], "Q6_K": [208], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q4_1": [0, 2],
          "Q5_1": [0, 2]}


def make_blocks(path):
    random = np.random.default_rng(5)
    writer = gguf.GGUFWriter(path, "llama")
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.constants.GGML_QUANT_SIZES[kind]
        blocks = 512 // elements * 2  # two rows
        raw = random.integers(0, 256, (blocks, size), dtype=np.uint8)
        for at in SCALES.get(name, [0]):  # finite scales of either sign
            raw[:, at:at + 2] = random.normal(0, 0.01, (blocks, 1)).astype(np.float16).view(np.uint8)
        raw = raw.reshape(2, -1)
        writer.add_tensor(name, raw, raw_dtype=kind)
        values = gguf.quants.dequantize(raw, kind).astype(np.float32)
        writer.add_tensor(name + ".f32", values)
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_safetensors(path):
    data = path.read_bytes()
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = data[8 + length + begin:8 + length + end]
        if entry["dtype"] == "F32":
            values = np.frombuffer(raw, "<f4")
        elif entry["dtype"] == "F16":
            values = np.frombuffer(raw, "<f2").astype(np.float32)
        else:
            values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        out[name] = values.reshape(entry["shape"])
    return out


def train_tokenizer(texts, size):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in texts for line in text.split("\n") if line.strip()]),
        model_writer=model, vocab_size=size, model_type="bpe", byte_fallback=True, split_digits=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=True,
        allow_whitespace_only_pieces=True, character_coverage=0.98, minloglevel=2, hard_vocab_limit=False)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def make_llama(path, tokenizer):
    config = json.loads((HERE / "models/llama_base/config.json").read_text())
    tensors = read_safetensors(HERE / "models/llama_base/model.safetensors")
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("golden")
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config.get("rope_theta", 10000.0))
    head = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_rope_dimension_count(head)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_vocab_size(config["vocab_size"])
    pieces = min(tokenizer.get_piece_size(), config["vocab_size"]) if tokenizer else 0
    writer.add_tokenizer_model("llama")
    writer.add_token_list([tokenizer.id_to_piece(i) for i in range(tokenizer.get_piece_size())])
    writer.add_token_scores([tokenizer.get_score(i) for i in range(tokenizer.get_piece_size())])
    kinds = []
    for i in range(tokenizer.get_piece_size()):
        kinds.append(2 if tokenizer.is_unknown(i) else 3 if tokenizer.is_control(i)
                     else 6 if tokenizer.is_byte(i) else 1)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(tokenizer.bos_id())
    writer.add_eos_token_id(tokenizer.eos_id())
    writer.add_unk_token_id(tokenizer.unk_id())
    writer.add_add_bos_token(True)
    writer.add_chat_template("{% for m in messages %}{{ bos_token }}[{{ m.role }}] {{ m.content }}{% endfor %}")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    for name, values in tensors.items():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            count = heads if "q_proj" in name else kv_heads
            values = values.reshape(count, 2, values.shape[0] // count // 2, -1).swapaxes(1, 2).reshape(values.shape)
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        writer.add_tensor(target, values if values.ndim == 1 else values.astype(np.float16))
    finish(writer)


def make_sentences(path, tokenizer):
    texts = json.loads((HERE / "tokenizers/strings.json").read_text())
    cases = []
    for text in texts:
        # Control tokens in a text are found by engines and not by sentencepiece.
        if any(mark in text for mark in ("<s>", "</s>", "<unk>")) or "\0" in text or len(text) > 160 or not text:
            continue
        cases.append([text, tokenizer.encode(text)])
    path.write_text(json.dumps(cases[:260], ensure_ascii=True, separators=(",", ":")) + "\n")


def make_names(path):
    layer = {
        "gqa": ["input_layernorm.weight", "post_attention_layernorm.weight", "self_attn.q_proj.weight",
                "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.o_proj.weight"],
        "bias": ["self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"],
        "norm": ["self_attn.q_norm.weight", "self_attn.k_norm.weight"],
        "dense": ["mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight"],
        "router": ["mlp.gate.weight"],
        "mixtral": ["block_sparse_moe.gate.weight"],
        "granite": ["block_sparse_moe.router.layer.weight"],
        "shared": ["mlp.shared_expert.gate_proj.weight", "mlp.shared_expert.up_proj.weight",
                   "mlp.shared_expert.down_proj.weight", "mlp.shared_expert_gate.weight"],
        "mla": ["self_attn.q_a_proj.weight", "self_attn.q_a_layernorm.weight", "self_attn.q_b_proj.weight",
                "self_attn.kv_a_proj_with_mqa.weight", "self_attn.kv_a_layernorm.weight",
                "self_attn.kv_b_proj.weight", "self_attn.k_b_proj.weight", "self_attn.v_b_proj.weight",
                "self_attn.o_proj.weight"],
        "shareds": ["mlp.shared_experts.gate_proj.weight", "mlp.shared_experts.up_proj.weight",
                    "mlp.shared_experts.down_proj.weight"],
    }
    stacked = {"mlp.experts.2.gate_proj.weight": "mlp.experts.gate_proj",
               "mlp.experts.2.up_proj.weight": "mlp.experts.up_proj",
               "mlp.experts.2.down_proj.weight": "mlp.experts.down_proj"}
    arch = gguf.MODEL_ARCH
    wanted = {arch.LLAMA: "gqa dense mixtral", arch.QWEN2: "gqa bias dense", arch.QWEN3: "gqa norm dense",
              arch.QWEN2MOE: "gqa bias router shared experts", arch.QWEN3MOE: "gqa norm router experts",
              arch.OLMOE: "gqa norm router experts", arch.GRANITE_MOE: "gqa granite",
              arch.DEEPSEEK2: "mla dense router shareds experts"}
    out = {}
    for kind, parts in wanted.items():
        names = gguf.get_tensor_name_map(kind, 4)
        table = {}
        for name in ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]:
            table[name] = names.get_name(name, try_suffixes=(".weight", ".bias"))
        for part in parts.split():
            for name in layer.get(part, []):
                full = "model.layers.3." + name
                table[full] = names.get_name(full, try_suffixes=(".weight", ".bias"))
            if part == "experts":
                for name, joint in stacked.items():
                    table["model.layers.3." + name] = names.get_name("model.layers.3." + joint) + ".weight"
        if kind == arch.DEEPSEEK2:
            table["model.layers.3.mlp.gate.e_score_correction_bias"] = (
                names.get_name("model.layers.3.mlp.gate.e_score_correction") + ".bias")
        assert all(table.values()), (kind, table)
        out[gguf.MODEL_ARCH_NAMES[kind]] = table
    path.write_text(json.dumps(out, indent=1) + "\n")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "gguf"
    folder.mkdir(exist_ok=True)
    make_blocks(folder / "blocks.gguf")
    texts = json.loads((HERE / "tokenizers/strings.json").read_text())
    tokenizer = train_tokenizer([t for t in texts if t.strip()] + [(HERE / "README.md").read_text()], 1200)
    make_llama(folder / "llama.gguf", tokenizer)
    make_sentences(folder / "sentences.json", tokenizer)
    make_names(folder / "names.json")


main()
