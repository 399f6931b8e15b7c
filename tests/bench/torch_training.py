# What tests/bench/model_training_bench.cpp measures, in PyTorch with transformers; the same arguments.
import argparse
import json
import pathlib
import time

import torch
import transformers


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=pathlib.Path)
    for name, default in (("documents", 4), ("tokens", 256), ("steps", 10), ("threads", 2)):
        parser.add_argument(name, type=int, nargs="?", default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**json.loads(options.config.read_text()))
    best = max((measure(config, attention, experts, options)
                for attention in ("sdpa", "eager") for experts in ("grouped_mm", "eager")),
               key=lambda result: result["tokens_per_second"])
    print(json.dumps(best))


def measure(config, attention, experts, options):
    how = {"name": "torch_training", "torch": torch.__version__, "attention": attention, "experts": experts}
    try:
        model = transformers.AutoModelForCausalLM.from_config(
            config, attn_implementation=attention, experts_implementation=experts, dtype=torch.float32).float().train()
        ids = torch.randint(0, config.vocab_size, (options.documents, options.tokens))
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
        losses = []
        for step in range(options.steps + 1):
            optimiser.zero_grad()
            logits = model(ids, use_cache=False).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
            if step == 0:
                begin = time.perf_counter()
        seconds = time.perf_counter() - begin
    except (RuntimeError, ValueError) as why:
        return {**how, "tokens_per_second": 0, "why": str(why)[:200]}
    tokens = options.documents * options.tokens * options.steps
    result = {**how, "loss": [round(losses[0], 4), round(losses[-1], 4)], "tokens_per_second": round(tokens / seconds)}
    print(json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    main()
