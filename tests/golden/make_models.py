# Builds the tiny random golden checkpoints of model_specs.py and records what transformers computes for them.
import argparse
import json
import math
import os
import re
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from model_specs import make_specs

PROMPT_LENGTHS = [1, 7, 33, 70]
GREEDY_TOKENS = 32
LOGIT_GAP_MIN = 1e-3    # (top1 - top2) / |top1| of every greedy step
SCORE_MARGIN_MIN = 1e-4  # between the last chosen and the first rejected sigmoid score
ROUTER_LOGIT_MARGIN_MIN = 1e-3
EFFECT_MIN = 1e-2       # an option or a tensor must move some logit by this much
TRIES_MAX = 400
SEEDS_MAX = 20
STORAGE = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "models")
    parser.add_argument("--only", action="append", help="name or prefix of a checkpoint; may be repeated")
    parser.add_argument("--no-verify", action="store_true", help="skip the proof that tensors and options matter")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for index, spec in enumerate(make_specs()):
        if args.only and not any(spec["name"].startswith(name) for name in args.only):
            continue
        make_one_that_uses_everything(spec, args.out / spec["name"], verify=not args.no_verify)


def seed_of(name):
    return sum((i + 1) * ord(c) for i, c in enumerate(name))


class no_effect(Exception):
    """A tensor (say, an expert that no prompt selects) or an option does not show in the logits."""


def make_one_that_uses_everything(spec, folder, verify):
    for attempt in range(SEEDS_MAX):
        try:
            return make_one(spec, seed_of(spec["name"]) + 100000 * attempt, folder, verify)
        except no_effect as why:
            print(f"next seed: {why}", flush=True)
    raise RuntimeError(f"{spec['name']}: no seed of {SEEDS_MAX} makes everything matter")


def make_one(spec, seed, folder, verify):
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_json(folder / "config.json", spec["config"])
    write_json(folder / "generation_config.json", generation_config(spec["config"]))
    write_weights(spec, seed, folder)
    model = load_model(folder)
    golden, logits = run_prompts(spec, model, seed)
    write_json(folder / "golden.json", golden)
    save_file(logits, folder / "golden.safetensors")
    if verify:
        verify_effects(spec, model, golden, folder)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{spec['name']}: {size // 1024} KiB, {golden['margins']}", flush=True)


def write_json(path, value):
    text = json.dumps(value, indent=2)
    if path.name == "golden.json":  # one array of numbers per line
        text = re.sub(r"\[\s+(-?\d[^\]]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    path.write_text(text + "\n")


def generation_config(config):
    fields = {k: config[k] for k in ("bos_token_id", "eos_token_id") if config.get(k) is not None}
    return {**fields, "transformers_version": transformers.__version__}


# Weights ---------------------------------------------------------------------------------------------------------


def write_weights(spec, seed, folder):
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).float().eval()
    init_weights(model, spec, seed)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch, save_original_format=not spec["fused"])
        tensors = load_file(Path(scratch) / "model.safetensors")
    tensors = {name: t.to(storage_type(name, t, spec["dtype"])).contiguous() for name, t in sorted(tensors.items())}
    write_shards(tensors, spec["shards"], folder)


def init_weights(model, spec, seed):
    """Large enough that everything matters: attention is neither flat nor one-hot, gates are neither 0 nor 1."""
    rng = torch.Generator().manual_seed(seed)
    tensors = {**dict(model.named_parameters()), **{n: b for n, b in model.named_buffers() if "correction" in n}}
    for name, tensor in sorted(tensors.items()):
        noise = torch.randn(tensor.shape, generator=rng)
        if name.endswith("e_score_correction_bias"):
            value = spec["router_bias_mean"] + 0.15 * noise
        elif name.endswith("bias"):
            value = 0.3 * noise
        elif "norm" in name:
            value = 1.0 + 0.25 * noise
        elif "embed_tokens" in name:
            value = 0.7 * noise
        else:
            value = 1.4 / math.sqrt(tensor.shape[-1]) * noise
        with torch.no_grad():
            tensor.copy_(value)


def storage_type(name, tensor, dtype):
    if name.endswith("e_score_correction_bias"):
        return torch.float32
    if dtype == "mixed":
        return torch.float32 if "norm" in name or tensor.dim() == 1 else torch.bfloat16
    return STORAGE[dtype]


def write_shards(tensors, count, folder):
    if count == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(tensors)
    weight_map = {}
    for shard in range(count):
        file = f"model-{shard + 1:05d}-of-{count:05d}.safetensors"
        part = names[shard::count]  # deliberately scattered: one expert's tensors lie in several files
        save_file({n: tensors[n] for n in part}, folder / file, metadata={"format": "pt"})
        weight_map.update({n: file for n in part})
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))})


def load_model(folder):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager",
        output_loading_info=True)
    assert not any(info.values()), info
    assert all(p.dtype == torch.float32 for p in model.parameters())
    return model.float().eval()


# Prompts ---------------------------------------------------------------------------------------------------------


class margin_probe:
    """Watches every router of a model and keeps the smallest decision margins since the last reset."""

    def __init__(self, model):
        self.config = model.config
        self.reset()
        self.handles = [m.register_forward_hook(self.watch) for m in model.modules()
                        if type(m).__name__.lower().endswith("topkrouter")]

    def reset(self):
        self.score = self.logit = math.inf
        self.zero_mask_differs = 0

    def watch(self, module, _inputs, output):
        logits, chosen = output[0].float(), output[2]
        kind = self.config.model_type
        if kind == "deepseek_v3":
            self.watch_sigmoid(module, logits, chosen)
        elif kind == "deepseek_v2" and module.topk_method == "group_limited_greedy":
            best = logits.view(len(logits), module.num_group, -1).max(-1).values
            self.logit = min(self.logit, gap(best, module.topk_group))
            self.logit = min(self.logit, gap(mask_groups(logits, best, module, -math.inf), module.top_k))
        else:
            self.logit = min(self.logit, gap(logits, module.top_k))

    def watch_sigmoid(self, module, logits, chosen):
        scores = logits.sigmoid() + module.e_score_correction_bias
        groups = scores.view(len(scores), module.num_group, -1).topk(2).values.sum(-1)
        self.score = min(self.score, gap(groups, module.topk_group))
        self.score = min(self.score, gap(mask_groups(scores, groups, module, -math.inf), module.top_k))
        zero = mask_groups(scores, groups, module, 0.0).topk(module.top_k).indices
        self.zero_mask_differs += int((zero.sort().values != chosen.sort().values).any(-1).sum())

    def robust(self):
        return self.score > SCORE_MARGIN_MIN and self.logit > ROUTER_LOGIT_MARGIN_MIN


def gap(values, k):
    """Smallest distance over rows between the k-th and the next value."""
    if k >= values.shape[-1]:
        return math.inf
    top = values.topk(k + 1).values
    return float((top[:, k - 1] - top[:, k]).min())


def mask_groups(scores, groups, module, value):
    keep = torch.zeros_like(groups).scatter_(1, groups.topk(module.topk_group).indices, 1).bool()
    return scores.masked_fill(~keep.repeat_interleave(scores.shape[-1] // module.num_group, -1), value)


def run_prompts(spec, model, seed):
    rng = torch.Generator().manual_seed(seed + 1)
    probe = margin_probe(model)
    prompts, logits = [], {}
    worst = {"logit_gap": math.inf, "score": math.inf, "router_logit": math.inf}
    differs = 0
    for index, length in enumerate(PROMPT_LENGTHS):
        for attempt in range(TRIES_MAX):
            tokens = torch.randint(0, model.config.vocab_size, (1, length), generator=rng)
            probe.reset()
            found = try_prompt(model, tokens, probe)
            if found:
                break
        else:
            raise RuntimeError(f"{spec['name']}: no robust prompt of {length} tokens in {TRIES_MAX} tries")
        rows, greedy, logprobs, logit_gap = found
        logits[f"logits.{index}"] = rows.contiguous()
        prompts.append({"tokens": tokens[0].tolist(), "greedy": greedy, "greedy_logprobs": logprobs})
        worst = {"logit_gap": min(worst["logit_gap"], logit_gap), "score": min(worst["score"], probe.score),
                 "router_logit": min(worst["router_logit"], probe.logit)}
        differs += probe.zero_mask_differs
    for handle in probe.handles:
        handle.remove()
    if spec["name"] == "deepseek_v3_negative_bias":
        assert differs > 50, differs
    margins = {k: float(f"{v:.3g}") for k, v in worst.items() if v < math.inf}
    return {"about": f"{spec['name']}: {spec['features']}", "features": spec["features"],
            "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
            "margins": margins, "zero_mask_differs": differs, "prompts": prompts}, logits


@torch.no_grad()
def try_prompt(model, tokens, probe):
    reset_rope(model)
    rows = model(tokens, use_cache=False).logits[0]
    if not probe.robust():
        return None
    reset_rope(model)
    cache = DynamicCache(config=model.config)
    last = model(tokens, past_key_values=cache, use_cache=True).logits[0, -1]
    greedy, logprobs, smallest = [], [], math.inf
    for step in range(GREEDY_TOKENS):
        top = last.topk(2).values
        smallest = min(smallest, float((top[0] - top[1]) / top[0].abs()))
        if smallest <= LOGIT_GAP_MIN:
            return None
        token = int(last.argmax())
        greedy.append(token)
        logprobs.append(round(float(last.log_softmax(-1)[token]), 6))
        if step + 1 < GREEDY_TOKENS:
            last = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True).logits[0, -1]
    recomputed = greedy_without_cache(model, tokens, greedy)
    depends_on_cache = "dynamic" in model.model.rotary_emb.rope_type
    if not probe.robust() or (recomputed != greedy and not depends_on_cache):
        return None
    return rows, greedy, logprobs, smallest


def greedy_without_cache(model, tokens, greedy):
    """What each step would pick after the same tokens if the whole sequence were computed anew."""
    picked = []
    for count in range(GREEDY_TOKENS):
        reset_rope(model)
        whole = torch.cat([tokens, torch.tensor([greedy[:count]], dtype=torch.long)], 1)
        picked.append(int(model(whole, use_cache=False, logits_to_keep=1).logits[0, -1].argmax()))
    return picked


def reset_rope(model):
    """The dynamic rope module remembers the longest sequence seen; every prompt starts from a fresh one."""
    rope = model.model.rotary_emb
    rope.inv_freq = rope.original_inv_freq.clone()
    rope.max_seq_len_cached = rope.original_max_seq_len


# Proof that everything matters -----------------------------------------------------------------------------------


@torch.no_grad()
def verify_effects(spec, model, golden, folder):
    prompts = [torch.tensor([p["tokens"]]) for p in golden["prompts"]]
    reference = forward_all(model, prompts)
    for name, tensor in [*model.named_parameters(), *[(n, b) for n, b in model.named_buffers() if "correction" in n]]:
        check_tensor(spec, model, name, tensor, prompts, reference)
    state = model.state_dict()
    for label, fields in spec["ablations"].items():
        moved = moved_by(spec, fields, state, folder, prompts, reference)
        if moved <= EFFECT_MIN:
            raise no_effect(f"{spec['name']}: {label} ({moved})")
    for label, fields in spec["inert"].items():
        moved = moved_by(spec, fields, state, folder, prompts, reference)
        assert moved == 0, f"{spec['name']}: {label} should have no effect ({moved})"


def check_tensor(spec, model, name, tensor, prompts, reference):
    parts = list(tensor) if ".mlp.experts." in name else [tensor]
    for index, part in enumerate(parts):
        saved = part.clone()
        if name.endswith("e_score_correction_bias"):
            part.copy_(part.flip(0))
        elif "q_norm" in name or "k_norm" in name or "layernorm" in name or name.endswith("norm.weight"):
            part.fill_(1.0)
        elif ".k_proj.bias" in name:
            part.mul_(3.0)  # without q/k norm a key bias acts through rope only
        else:
            part.zero_()
        moved = difference(forward_all(model, prompts), reference)
        part.copy_(saved)
        if moved <= EFFECT_MIN:
            raise no_effect(f"{spec['name']}: {name}[{index}] ({moved})")


def moved_by(spec, fields, state, folder, prompts, reference):
    changed = {**spec["config"], **fields}
    with tempfile.TemporaryDirectory() as scratch:
        write_json(Path(scratch) / "config.json", changed)
        config = AutoConfig.from_pretrained(scratch)
    model = AutoModelForCausalLM.from_config(
        config, attn_implementation="eager", experts_implementation="eager", dtype=torch.float32).float().eval()
    model.load_state_dict(state)
    return difference(forward_all(model, prompts), reference)


def forward_all(model, prompts):
    rows = []
    for tokens in prompts:
        reset_rope(model)
        rows.append(model(tokens, use_cache=False).logits[0])
    return torch.cat(rows)


def difference(a, b):
    return float((a - b).abs().max())


if __name__ == "__main__":
    main()
