# Trains the built-in model: python train.py --data tales.txt.zst --out run [--minutes 55] [--resume].
"""Train the tokenizer and the model on a text.

The learning rate is a function of the minutes spent, not of a number of steps: warm-up, a plateau, and a linear
decay that reaches zero exactly when the budget is used up, whatever the speed of the machine. Touching
OUT/decay starts the decay early; it then takes --decay_minutes. The checkpoint is replaced every few minutes;
export.py turns it into a folder for Hugging Face and for the engine.
"""

import argparse
import dataclasses
import math
import pathlib
import time

import torch

import corpus as corpus_module
import optimizer as optimizer_module
from model import model_config, tales_model


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--data", required=True, help="text with documents separated by <|endoftext|> lines, .zst or plain")
    add("--out", required=True, type=pathlib.Path, help="folder for tokenizer, checkpoint and log")
    add("--minutes", type=float, default=55, help="wall-clock budget of training")
    add("--decay_share", type=float, default=0.5, help="share of the budget in which the rate falls to zero")
    add("--decay_minutes", type=float, default=15, help="length of a decay started early by OUT/decay")
    add("--long_share", type=float, default=0.12, help="last share of the budget, trained on windows twice as long")
    add("--length", type=int, default=512, help="tokens in a window; the last part doubles it")
    add("--batch_tokens", type=int, default=4096, help="tokens in a step")
    add("--tales_share", type=float, default=0.7, help="share of windows that come from tales, not novels")
    add("--novel_bytes", type=int, default=120000, help="documents longer than this count as novels")
    add("--hold_out_every", type=int, default=50, help="every n-th document is never trained on")
    add("--vocab_size", type=int, default=4096, help="tokens in the vocabulary")
    add("--muon_rate", type=float, default=0.02, help="peak rate of the matrices")
    add("--embedding_rate", type=float, default=0.01, help="peak rate of the embedding")
    add("--head_rate", type=float, default=0.003, help="peak rate of the head")
    add("--vector_rate", type=float, default=0.003, help="peak rate of norms and routers")
    add("--weight_decay", type=float, default=0.05, help="decoupled weight decay of the matrices")
    add("--balance_rate", type=float, default=0.002, help="step of the routing bias; zero once the decay is half done")
    add("--warmup_steps", type=int, default=60, help="steps of linear warm-up")
    add("--steps_max", type=int, default=0, help="stop after so many steps; 0 means when the minutes are used up")
    add("--checkpoint_minutes", type=float, default=4, help="minutes between checkpoints")
    add("--evaluate_minutes", type=float, default=8, help="minutes between looks at the held-out documents")
    add("--threads", type=int, default=2, help="threads of torch")
    add("--seed", type=int, default=1, help="seed of weights and data order")
    add("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    return parser.parse_args()


@torch.no_grad()
def evaluate(model, tokenizer, texts, length, tokens_max=None):
    """(nats per token, bits per byte, tokens) over documents cut into windows that do not overlap."""
    model.eval()
    nats, tokens, size = 0.0, 0, 0
    for text in texts:
        ids = torch.tensor([0] + tokenizer.encode(text).ids + [0])
        # The last token of a window is the first of the next, so every token but the first is predicted once.
        for start in range(0, len(ids) - 1, length):
            window = ids[start : start + length + 1]
            nats += float(model.loss(window[None])) * (len(window) - 1)
            tokens += len(window) - 1
        size += len(text.encode())
        if tokens_max and tokens > tokens_max:
            break
    model.train()
    return nats / tokens, nats / size / math.log(2), tokens


class schedule:
    """Maps minutes spent to a factor of the learning rate; knows when the decay began."""

    def __init__(self, options):
        self.options = options
        self.decay_start = options.minutes * (1 - options.decay_share)
        self.end = options.minutes
        self.long_start = options.minutes * (1 - options.long_share)

    def look_for_signal(self, minutes):
        if (self.options.out / "decay").exists() and minutes < self.decay_start:
            self.decay_start, self.end = minutes, minutes + self.options.decay_minutes
            self.long_start = self.end - self.options.long_share * self.options.decay_minutes

    def factor(self, minutes, step):
        warm = min(1.0, (step + 1) / self.options.warmup_steps)
        left = (self.end - minutes) / (self.end - self.decay_start)
        return warm * max(0.0, min(1.0, left))


def save_checkpoint(path, model, optimizers, step, tokens, minutes, options):
    state = dict(
        config=dataclasses.asdict(model.config), model=model.state_dict(), step=step, tokens=tokens, minutes=minutes,
        optimizers=[o.state_dict() for o in optimizers], options={k: str(v) for k, v in vars(options).items()},
    )
    # Written beside and renamed, so a killed run never leaves half a checkpoint.
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)


def main():
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    log = open(options.out / "log.txt", "a", buffering=1)

    def say(line):
        print(line, flush=True)
        log.write(line + "\n")

    data = corpus_module.corpus(options, options.out)
    say(data.describe())
    model = tales_model(model_config(vocab_size=data.tokenizer.get_vocab_size()))
    optimizers = optimizer_module.make_optimizers(model, options)
    say(f"parameters {sum(p.numel() for p in model.parameters())}")
    checkpoint, step, tokens, minutes = options.out / "checkpoint.pt", 0, 0, 0.0
    if options.resume and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        step, tokens, minutes = state["step"], state["tokens"], state["minutes"]
        # Other windows than those before the interruption; the exact order is not worth keeping.
        data.random = type(data.random)(type(data.random.bit_generator)(options.seed + step))
        data.tales.random, data.novels.random = data.random, data.random
        say(f"resumed at step {step}, {minutes:.1f} minutes")

    plan, clock = schedule(options), time.monotonic
    last, saved_at, evaluated_at, running, busiest = clock(), minutes, minutes, None, [0.0]
    model.train()
    while minutes < plan.end and not (options.steps_max and step >= options.steps_max):
        plan.look_for_signal(minutes)
        factor = plan.factor(minutes, step)
        length = options.length * (2 if minutes > plan.long_start else 1)
        batch = torch.from_numpy(data.batch(options.batch_tokens // length, length, options.tales_share))
        loss = model.loss(batch)
        loss.backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        rate = options.balance_rate if factor > 0.5 else 0.0
        busiest = [router.balance(rate) for router in model.routers()]
        step, tokens, loss = step + 1, tokens + batch[:, 1:].numel(), float(loss.detach())
        running = loss if running is None else 0.97 * running + 0.03 * loss
        now = clock()
        minutes, last = minutes + (now - last) / 60, now
        if step % 20 == 0:
            say(f"step {step} minutes {minutes:.2f} tokens {tokens} loss {loss:.3f} mean {running:.3f} "
                f"rate {factor:.3f} length {length} busiest {max(busiest):.2f} "
                f"epochs {data.tales.epoch} {data.novels.epoch}")
        if minutes - saved_at > options.checkpoint_minutes:
            save_checkpoint(checkpoint, model, optimizers, step, tokens, minutes, options)
            saved_at = minutes
        if minutes - evaluated_at > options.evaluate_minutes:
            nats, bits, count = evaluate(model, data.tokenizer, data.held_out[::3], options.length, 20000)
            say(f"held out (part) {nats:.4f} nats per token, {bits:.4f} bits per byte over {count} tokens")
            evaluated_at = minutes
    save_checkpoint(checkpoint, model, optimizers, step, tokens, minutes, options)
    say(f"done: {step} steps, {tokens} tokens, {minutes:.1f} minutes")


if __name__ == "__main__":
    main()
