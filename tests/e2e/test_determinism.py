# A request's text depends on the request alone: not on its neighbours, nor on what is cached.
from concurrent.futures import ThreadPoolExecutor

import pytest

SAMPLED = {"temperature": 1.0, "top_p": 0.95, "seed": 42, "max_tokens": 40, "extra_body": {"ignore_eos": True}}


def test_repeats_a_seed(complete):
    first, second = (complete(**SAMPLED).choices[0].text for _ in range(2))
    assert first == second
    assert complete(**{**SAMPLED, "seed": 43}).choices[0].text != first


@pytest.mark.parametrize("options", [SAMPLED, {"temperature": 0, "max_tokens": 40}], ids=["sampled", "greedy"])
def test_gives_the_same_text_alone_and_in_a_crowd(complete, options):
    alone = complete("The dragon", logprobs=0, **options)
    with ThreadPoolExecutor(32) as pool:
        others = [pool.submit(complete, f"Story number {i}: " + "long ago " * (i % 7), temperature=1.0, seed=i,
                              max_tokens=20 + i) for i in range(31)]
        crowded = pool.submit(complete, "The dragon", logprobs=0, **options).result()
        assert all(o.result().choices[0].text is not None for o in others)
    assert crowded.choices[0].text == alone.choices[0].text
    assert crowded.choices[0].logprobs.token_logprobs == alone.choices[0].logprobs.token_logprobs


def test_gives_the_same_text_with_a_warm_prefix(complete):
    prompt = "There was once a miller who had three sons, a mill, a donkey and a cat. " * 3
    texts = [complete(prompt, **SAMPLED).choices[0].text for _ in range(3)]
    assert len(set(texts)) == 1


def test_draws_afresh_without_a_seed(complete):
    texts = {complete(temperature=1.0, max_tokens=24, extra_body={"ignore_eos": True}).choices[0].text for _ in range(4)}
    assert len(texts) > 1
