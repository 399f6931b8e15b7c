# /tokenize and /detokenize with vLLM's bodies.
import pytest

import raw_http

TEXTS = ["Once upon a time", " leading and trailing ", "line\nbreaks\n\n", "é ü ß 你好 \U0001F984", "", "don't 123 $%&"]


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_round_trips(url, model, text):
    answer = raw_http.post(url, "/tokenize", {"model": model, "prompt": text, "add_special_tokens": False})
    assert answer.status == 200
    body = answer.json()
    assert body["count"] == len(body["tokens"]) and all(isinstance(t, int) for t in body["tokens"])
    back = raw_http.post(url, "/detokenize", {"model": model, "tokens": body["tokens"]})
    assert back.status == 200 and back.json()["prompt"] == text


def test_tells_the_longest_sequence(url, model, positions_max):
    assert raw_http.post(url, "/tokenize", {"model": model, "prompt": "x"}).json()["max_model_len"] == positions_max


def test_needs_no_model_name(url):
    assert raw_http.post(url, "/tokenize", {"prompt": "Once"}).status == 200


def test_gives_token_texts_when_asked(url, model):
    body = raw_http.post(url, "/tokenize", {"model": model, "prompt": "Once upon", "return_token_strs": True}).json()
    assert len(body["token_strs"]) == body["count"]


def test_counts_as_completions_do(url, model, complete):
    count = raw_http.post(url, "/tokenize", {"model": model, "prompt": "Once upon a time"}).json()["count"]
    assert complete("Once upon a time", max_tokens=1).usage.prompt_tokens == count


def test_tokenizes_messages_as_chat_does(url, model, chat):
    messages = [{"role": "user", "content": "Tell me a story."}]
    body = raw_http.post(url, "/tokenize", {"model": model, "messages": messages, "add_generation_prompt": True}).json()
    assert body["count"] == chat(max_tokens=1).usage.prompt_tokens


@pytest.mark.parametrize("path,body", [("/tokenize", {}), ("/tokenize", {"prompt": 5}), ("/detokenize", {}),
                                       ("/detokenize", {"tokens": "x"}), ("/detokenize", {"tokens": [10**9]}),
                                       ("/detokenize", {"tokens": [-1]}), ("/tokenize", [])], ids=str)
def test_refuses_bad_bodies(url, path, body):
    answer = raw_http.post(url, path, body)
    assert answer.status == 400 and answer.error()
