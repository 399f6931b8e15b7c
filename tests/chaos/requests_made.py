# The requests of a run: of every kind that a failover could disturb, each the same for the same number.
from dataclasses import dataclass

PROMPTS = ["Once upon a time", "The little dog", "One day, a girl named Lily", "Tom had a red ball.",
           "In the garden there was", "It was a sunny day and", "Mom said", "The bird wanted to fly"]


@dataclass(frozen=True)
class Asked:
    number: int
    kind: str
    path: str
    body: dict

    def __hash__(self):
        return self.number


def make(number, model, tokens):
    """Request `number` of a run whose longest answers have `tokens` tokens."""
    prompt = PROMPTS[number % len(PROMPTS)]
    body = {"model": model, "stream": True, "max_tokens": tokens - 16 * (number % 5)}
    completion = {**body, "prompt": f"{prompt} {number}"}
    seeded = {"temperature": 0.9, "seed": 1000 + number}
    kinds = [
        ("greedy", "/v1/completions", {**completion, "temperature": 0, "ignore_eos": True}),
        ("sampled", "/v1/completions", {**completion, **seeded, "ignore_eos": True}),
        ("n=4", "/v1/completions", {**completion, **seeded, "n": 4, "max_tokens": tokens // 2, "ignore_eos": True}),
        ("stop", "/v1/completions", {**completion, **seeded, "stop": [" big", "they were"]}),
        ("penalties", "/v1/completions", {**completion, **seeded, "frequency_penalty": 0.5, "presence_penalty": 0.3,
                                          "repetition_penalty": 1.1, "ignore_eos": True}),
        ("logprobs", "/v1/completions", {**completion, **seeded, "logprobs": 3, "max_tokens": tokens // 2}),
        ("chat", "/v1/chat/completions", {**body, **seeded, "ignore_eos": True,
                                          "messages": [{"role": "user", "content": f"{prompt}? {number}"}]}),
    ]
    kind, path, body = kinds[number % len(kinds)]
    return Asked(number, kind, path, body)
