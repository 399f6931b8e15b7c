# Chat completions with the official client.
import math


def test_answers(chat):
    answer = chat(temperature=0, max_tokens=16)
    assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-")
    assert answer.choices[0].message.role == "assistant"
    assert isinstance(answer.choices[0].message.content, str)
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_streams_the_same_text(chat):
    whole = chat(temperature=0, max_tokens=24)
    stream = list(chat(temperature=0, max_tokens=24, stream=True))
    assert stream[0].object == "chat.completion.chunk"
    assert stream[0].choices[0].delta.role == "assistant"
    assert all(c.choices[0].delta.role in (None, "assistant") for c in stream)
    assert "".join(c.choices[0].delta.content or "" for c in stream) == whole.choices[0].message.content
    assert stream[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert not any(c.choices[0].finish_reason for c in stream[:-1])
    assert len({(c.id, c.created, c.model) for c in stream}) == 1


def test_sends_usage_in_an_extra_chunk(chat):
    stream = list(chat(max_tokens=6, stream=True, stream_options={"include_usage": True}))
    assert stream[-1].choices == [] and stream[-1].usage.completion_tokens <= 6
    assert all(c.usage is None for c in stream[:-1])


def test_takes_max_completion_tokens(chat):
    assert chat(max_completion_tokens=3, extra_body={"ignore_eos": True}).usage.completion_tokens == 3


def test_makes_several_choices(chat):
    answer = chat(n=2, temperature=1.0, seed=5, max_tokens=16, extra_body={"ignore_eos": True})
    assert [c.index for c in answer.choices] == [0, 1]
    assert answer.choices[0].message.content != answer.choices[1].message.content


def test_gives_log_probabilities(chat):
    choice = chat(temperature=0, max_tokens=6, logprobs=True, top_logprobs=2).choices[0]
    content = choice.logprobs.content
    assert content
    for entry in content:
        assert entry.logprob <= 0 and len(entry.top_logprobs) == 2
        assert math.isclose(entry.top_logprobs[0].logprob, entry.logprob, abs_tol=1e-5)
        assert entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob
    assert b"".join(bytes(e.bytes) for e in content).decode(errors="replace").startswith(choice.message.content[:4])


def test_gives_no_log_probabilities_unasked(chat):
    assert chat(max_tokens=2).choices[0].logprobs is None


def test_stops_at_a_stop_text(chat):
    whole = chat(temperature=0, max_tokens=32, extra_body={"ignore_eos": True}).choices[0].message.content
    stop = whole[len(whole) // 2:][:3]
    answer = chat(temperature=0, max_tokens=32, stop=stop, extra_body={"ignore_eos": True}).choices[0]
    assert answer.finish_reason == "stop" and answer.message.content == whole[:whole.index(stop)]


def test_takes_content_in_parts_and_a_history(chat):
    parts = [{"role": "system", "content": "You tell tales."},
             {"role": "user", "content": [{"type": "text", "text": "Tell me "}, {"type": "text", "text": "a story."}]},
             {"role": "assistant", "content": "Once."}, {"role": "user", "content": "Go on."}]
    assert chat(messages=parts, max_tokens=4).usage.prompt_tokens > chat("Go on.", max_tokens=4).usage.prompt_tokens
