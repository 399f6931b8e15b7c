# Text completions with the official client.
import math

import pytest


def text_of(stream):
    return "".join(c.choices[0].text for c in stream if c.choices)


def test_answers_with_sixteen_tokens_by_default(complete):
    answer = complete(extra_body={"ignore_eos": True})
    assert answer.object == "text_completion" and answer.id.startswith("cmpl-")
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 16
    assert answer.usage.prompt_tokens > 0 and answer.choices[0].text


def test_is_greedy_at_temperature_zero(complete):
    texts = {complete(temperature=0, max_tokens=24).choices[0].text for _ in range(3)}
    assert len(texts) == 1


def test_streams_the_same_text(complete):
    whole = complete(temperature=0, max_tokens=24)
    stream = list(complete(temperature=0, max_tokens=24, stream=True))
    assert text_of(stream) == whole.choices[0].text
    assert len({(c.id, c.created, c.model, c.object) for c in stream}) == 1
    assert stream[0].object == "text_completion"
    reasons = [c.choices[0].finish_reason for c in stream if c.choices]
    assert reasons[-1] == whole.choices[0].finish_reason
    assert not any(reasons[:-1])
    assert all(c.usage is None for c in stream)


def test_streams_more_than_one_chunk(complete):
    assert len([c for c in complete(max_tokens=24, stream=True, extra_body={"ignore_eos": True})]) > 4


def test_sends_usage_in_an_extra_chunk(complete):
    stream = list(complete(max_tokens=5, stream=True, stream_options={"include_usage": True},
                           extra_body={"ignore_eos": True}))
    assert stream[-1].choices == []
    assert stream[-1].usage.completion_tokens == 5
    assert stream[-1].usage.total_tokens == 5 + stream[-1].usage.prompt_tokens
    assert all(c.usage is None and c.choices for c in stream[:-1])


def test_makes_several_choices(complete):
    answer = complete(n=2, temperature=1.0, seed=3, max_tokens=24, extra_body={"ignore_eos": True})
    assert [c.index for c in answer.choices] == [0, 1]
    assert answer.choices[0].text != answer.choices[1].text
    assert answer.usage.completion_tokens == 48


def test_streams_several_choices(complete):
    texts = {0: "", 1: ""}
    for chunk in complete(n=2, temperature=1.0, seed=3, max_tokens=24, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    whole = complete(n=2, temperature=1.0, seed=3, max_tokens=24)
    assert texts == {c.index: c.text for c in whole.choices}


@pytest.mark.parametrize("form", ["texts", "tokens", "token_lists"])
def test_takes_every_form_of_prompt(complete, tokenize, form):
    one, two = tokenize("Once upon a time"), tokenize("The old king")
    prompt, count = {"texts": (["Once upon a time", "The old king"], 2), "tokens": (one, 1),
                     "token_lists": ([one, two], 2)}[form]
    answer = complete(prompt, temperature=0, max_tokens=8)
    assert [c.index for c in answer.choices] == list(range(count))
    alone = complete("Once upon a time", temperature=0, max_tokens=8)
    assert answer.choices[0].text == alone.choices[0].text


def test_gives_n_choices_per_prompt(complete):
    answer = complete(["Once", "Twice"], n=2, max_tokens=2)
    assert [c.index for c in answer.choices] == [0, 1, 2, 3]


def test_stops_before_the_stop_text(complete):
    whole = complete(temperature=0, max_tokens=40, extra_body={"ignore_eos": True}).choices[0].text
    stop = whole[len(whole) // 2:][:3]
    answer = complete(temperature=0, max_tokens=40, stop=["never seen", stop], extra_body={"ignore_eos": True}).choices[0]
    assert answer.finish_reason == "stop"
    assert answer.text == whole[:whole.index(stop)]
    streamed = complete(temperature=0, max_tokens=40, stop=stop, stream=True, extra_body={"ignore_eos": True})
    assert text_of(streamed) == answer.text


def test_keeps_the_stop_text_when_asked(complete):
    whole = complete(temperature=0, max_tokens=40, extra_body={"ignore_eos": True}).choices[0].text
    stop = whole[len(whole) // 2:][:3]
    answer = complete(temperature=0, max_tokens=40, stop=stop,
                      extra_body={"ignore_eos": True, "include_stop_str_in_output": True}).choices[0]
    assert answer.text == whole[:whole.index(stop) + len(stop)]


def test_echoes_the_prompt(complete):
    plain = complete(temperature=0, max_tokens=8).choices[0].text
    assert complete(temperature=0, max_tokens=8, echo=True).choices[0].text == "Once upon a time" + plain
    assert text_of(complete(temperature=0, max_tokens=8, echo=True, stream=True)) == "Once upon a time" + plain


def test_gives_log_probabilities(complete):
    answer = complete(temperature=0, max_tokens=8, logprobs=3).choices[0]
    logprobs = answer.logprobs
    count = len(logprobs.tokens)
    assert count == len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == len(logprobs.text_offset)
    assert "".join(logprobs.tokens) == answer.text
    for token, value, top in zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs):
        assert value <= 0 and 1 <= len(top) <= 4
        assert math.isclose(max(top.values()), value, abs_tol=1e-5), (token, top)
        assert sum(math.exp(v) for v in top.values()) <= 1.001


def test_streams_log_probabilities(complete):
    whole = complete(temperature=0, max_tokens=8, logprobs=2).choices[0].logprobs
    tokens, values = [], []
    for chunk in complete(temperature=0, max_tokens=8, logprobs=2, stream=True):
        for choice in chunk.choices:
            if choice.logprobs:
                tokens += choice.logprobs.tokens
                values += choice.logprobs.token_logprobs
    assert tokens == whole.tokens
    assert values == pytest.approx(whole.token_logprobs, abs=1e-5)


def test_scores_the_prompt(complete, tokenize):
    prompt = tokenize("Once upon a time")
    answer = complete(prompt, temperature=0, max_tokens=4, echo=True, logprobs=1).choices[0]
    logprobs = answer.logprobs
    assert len(logprobs.tokens) == len(prompt) + 4 or answer.finish_reason == "stop"
    assert logprobs.token_logprobs[0] is None
    assert all(v <= 0 for v in logprobs.token_logprobs[1:])


def test_scores_the_prompt_alone(complete, tokenize):
    answer = complete("Once upon a time", max_tokens=0, echo=True, logprobs=0)
    assert answer.choices[0].text == "Once upon a time"
    assert len(answer.choices[0].logprobs.tokens) == answer.usage.prompt_tokens
    assert answer.usage.completion_tokens == 0


def test_does_what_the_bias_says(complete, tokenize):
    token = tokenize(" the")[-1]
    answer = complete(temperature=0, max_tokens=3, logit_bias={str(token): 100}, extra_body={"return_token_ids": True})
    assert answer.choices[0].text == complete([token, token, token], max_tokens=0, echo=True).choices[0].text


def test_respects_min_tokens(complete):
    answer = complete(temperature=0, max_tokens=30, extra_body={"min_tokens": 30})
    assert answer.usage.completion_tokens == 30


def test_tells_a_fingerprint(complete):
    prints = {complete(max_tokens=1).system_fingerprint for _ in range(2)}
    assert len(prints) == 1 and prints.pop()
