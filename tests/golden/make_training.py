# Records what PyTorch computes when tiny checkpoints are trained: loss, every gradient, and the weights after ten AdamW steps.
"""With no arguments remakes training/ beside this script: its own checkpoints, smaller than those of models/.
With --models FOLDER takes the checkpoints of that folder as they are and writes the two files next to each.

training.json         documents, options, loss and gradient norm of every step
training.safetensors  grad.<tensor>: gradient of the first step, before clipping; after.<tensor>: weights at the end.
                      Names and shapes are those of the checkpoint's own tensors.
"""
import argparse
import copy
import shutil
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

import model_specs
from make_models import load_model, margin_probe, reset_rope, seed_of, write_json, write_weights

DOCUMENT_LENGTHS = [19, 1, 7, 26]
STEPS = 10
RATE, BETAS, EPS, DECAY, CLIP = 2e-3, (0.9, 0.95), 1e-8, 0.1, 1.0
MARGIN_MIN = 2e-5  # of every routing decision of every step
SEEDS_MAX = 60
SMALL = dict(vocab_size=40, hidden_size=24, num_hidden_layers=2)


def specs():
    mla = dict(SMALL, intermediate_size=28, moe_intermediate_size=10, num_attention_heads=2, num_key_value_heads=2,
               q_lora_rank=12, kv_lora_rank=8, qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=5, rope_theta=100.0)
    gqa = dict(SMALL, intermediate_size=20, rope_theta=100.0)
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
    spec = model_specs.spec
    return [
        spec("deepseek_v3", model_specs.deepseek_v3(**mla), "latent attention, sigmoid router with bias and groups"),
        spec("deepseek_v3_plain", model_specs.deepseek_v3(
            **{**mla, "q_lora_rank": None, "n_group": 1, "topk_group": 1, "norm_topk_prob": False, "attention_bias": True,
               "tie_word_embeddings": True, "rope_interleave": False, "first_k_dense_replace": 0}),
             "plain queries, biases, tied, weights not normalised"),
        spec("deepseek_v2", model_specs.deepseek_v2(
            **{**mla, "topk_method": "group_limited_greedy", "routed_scaling_factor": 2.0, "mlp_bias": True,
               "n_shared_experts": 2, "rope_theta": 10000.0,
               "rope_scaling": {"type": "yarn", **model_specs.YARN, "mscale": 1.0, "mscale_all_dim": 0.5}}),
             "softmax router with groups, MLP biases, interleaved rotation in place, YaRN"),
        spec("mixtral", model_specs.mixtral(**{**gqa, "intermediate_size": 14}, sliding_window=8, num_local_experts=4),
             "softmax over the chosen, window"),
        spec("qwen3_moe", model_specs.qwen3_moe(
            **{**gqa, "head_dim": 8, "num_experts": 8, "moe_intermediate_size": 12, "norm_topk_prob": True,
               "attention_bias": True, "mlp_only_layers": [0], "tie_word_embeddings": True, "rope_scaling": yarn}),
             "norms per head, normalised weights, one dense layer, biases, tied, YaRN", fused=True),
        spec("qwen2_moe", model_specs.plain(
            "qwen2_moe", "Qwen2MoeForCausalLM", num_experts=6, num_experts_per_tok=2, moe_intermediate_size=10,
            shared_expert_intermediate_size=14, norm_topk_prob=False, **gqa), "shared expert behind a gate"),
        spec("olmoe", model_specs.olmoe(
            **{**gqa, "intermediate_size": 12, "num_experts": 6, "clip_qkv": 0.8, "norm_topk_prob": False}),
             "norms over the full width, limits on q, k and v"),
        spec("granitemoe", model_specs.plain(
            "granitemoe", "GraniteMoeForCausalLM", num_local_experts=5, num_experts_per_tok=3, attention_bias=True,
            attention_multiplier=0.35, embedding_multiplier=3.0, residual_multiplier=0.4, logits_scaling=2.5, **gqa),
             "packed experts, four multipliers, biases"),
        spec("llama", model_specs.llama(
            **{**gqa, "attention_bias": True, "mlp_bias": True, "hidden_act": "gelu_pytorch_tanh", "head_dim": 10,
               "tie_word_embeddings": True}), "dense, all biases, tanh gelu, tied"),
        spec("qwen3_gelu", model_specs.plain("qwen3", "Qwen3ForCausalLM", **{**gqa, "hidden_act": "gelu", "head_dim": 8}),
             "dense, norms per head, erf gelu"),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, help="folder of checkpoints to use as they are")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "training")
    parser.add_argument("--only", action="append", help="name of a checkpoint; may be repeated")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if args.models:
        for folder in sorted(args.models.iterdir()):
            if (folder / "config.json").exists() and (not args.only or folder.name in args.only):
                train_with_distance(folder)
        return
    for spec in specs():
        if args.only and spec["name"] not in args.only:
            continue
        make_checkpoint(spec, args.out / spec["name"])


def make_checkpoint(spec, folder):
    for attempt in range(SEEDS_MAX):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_json(folder / "config.json", spec["config"])
        write_weights(spec, seed_of(spec["name"]) + 100000 * attempt, folder)
        try:
            return train(folder, spec["name"], spec["features"])
        except close_call as why:
            print(f"{spec['name']}: next seed: {why}", flush=True)
    raise RuntimeError(f"{spec['name']}: no seed of {SEEDS_MAX} keeps its distance")


def train_with_distance(folder):
    for attempt in range(SEEDS_MAX):
        try:
            return train(folder, folder.name, "as its checkpoint", attempt)
        except close_call as why:
            print(f"{folder.name}: other documents: {why}", flush=True)
    print(f"{folder.name}: left out, no documents of {SEEDS_MAX} keep their distance", flush=True)


class close_call(Exception):
    """A routing decision that another rounding could take otherwise."""


def train(folder, name, features, attempt=0):
    model = load_model(folder)
    rng = torch.Generator().manual_seed(seed_of(name) + 7 + 1000 * attempt)
    documents = [torch.randint(0, model.config.vocab_size, (1, n), generator=rng) for n in DOCUMENT_LENGTHS]
    probe = margin_probe(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, betas=BETAS, eps=EPS, weight_decay=DECAY)
    losses, norms, tensors = [], [], {}
    for step in range(STEPS):
        optimiser.zero_grad(set_to_none=False)
        loss = mean_loss(model, documents)
        loss.backward()
        if step == 0:
            tensors.update({"grad." + n: t for n, t in as_stored(model, folder, gradient=True).items()})
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)))
        optimiser.step()
        losses.append(float(loss.detach()))
    if min(probe.score, probe.logit) < MARGIN_MIN:
        raise close_call(f"{probe.score}, {probe.logit}")
    losses.append(float(mean_loss(model, documents).detach()))
    tensors.update({"after." + n: t for n, t in as_stored(model, folder, gradient=False).items()})
    save_file(tensors, folder / "training.safetensors")
    write_json(folder / "training.json", {
        "about": f"{name}: {features}", "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0], "documents": [d[0].tolist() for d in documents],
        "rate": RATE, "beta1": BETAS[0], "beta2": BETAS[1], "eps": EPS, "weight_decay": DECAY, "clip": CLIP,
        "losses": losses, "norms": norms})
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {size // 1024} KiB, losses {losses[0]:.4f} {losses[-1]:.4f}, norm {norms[0]:.3f}", flush=True)


def mean_loss(model, documents):
    """Over all tokens that have one before them in their document."""
    total, count = 0, 0
    for tokens in documents:
        reset_rope(model)
        logits = model(tokens, use_cache=False).logits[0]
        total = total + torch.nn.functional.cross_entropy(logits[:-1], tokens[0, 1:], reduction="sum")
        count += tokens.shape[1] - 1
    return total / count


def as_stored(model, folder, gradient):
    """Weights or gradients under the names and shapes of the checkpoint."""
    held = copy.deepcopy(model)
    with torch.no_grad():
        for ours, theirs in zip(held.parameters(), model.parameters()):
            ours.copy_((torch.zeros_like(theirs) if theirs.grad is None else theirs.grad) if gradient else theirs)
    stored = {}
    for file in folder.glob("model*.safetensors"):
        stored.update(load_file(file))
    wanted = {n for n in stored if not n.endswith("e_score_correction_bias")}
    for original in (True, False):  # one tensor per expert, or fused ones
        with tempfile.TemporaryDirectory() as scratch:
            held.save_pretrained(scratch, save_original_format=original)
            saved = {}
            for file in Path(scratch).glob("*.safetensors"):
                saved.update(load_file(file))
        if wanted <= set(saved):
            return {n: saved[n].float().contiguous() for n in sorted(wanted)}
    raise RuntimeError(f"{folder}: cannot spell {sorted(wanted - set(saved))[:3]}")


if __name__ == "__main__":
    main()
