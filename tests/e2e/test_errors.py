# What a client hears when it is wrong: always the OpenAI error object, never a dead server.
import json
import random

import pytest
from openai import BadRequestError, NotFoundError

import raw_http

BOTH = pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])


def body_for(path, model, **fields):
    prompt = {"prompt": "Once"} if "chat" not in path else {"messages": [{"role": "user", "content": "Hi"}]}
    return {"model": model, **prompt, "max_tokens": 1, **fields}


def refuse(url, path, body, status=400):
    answer = raw_http.post(url, path, body)
    assert answer.status == status, (answer.status, answer.body[:300])
    assert answer.headers["content-type"].startswith("application/json")
    return answer.error()


def test_does_not_know_other_models(client):
    with pytest.raises(NotFoundError) as caught:
        client.completions.create(model="nobody", prompt="x")
    assert caught.value.status_code == 404 and caught.value.code == "model_not_found"
    assert "nobody" in caught.value.message


@BOTH
def test_answers_unknown_models_with_404(url, path):
    assert refuse(url, path, body_for(path, "nobody"), 404)["code"] == "model_not_found"


def test_refuses_a_prompt_that_is_too_long(client, model, positions_max):
    with pytest.raises(BadRequestError) as caught:
        client.completions.create(model=model, prompt=[5] * (positions_max + 1), max_tokens=1)
    assert str(positions_max) in caught.value.message and str(positions_max + 1) in caught.value.message


def test_refuses_a_prompt_that_leaves_no_room(client, model, positions_max):
    with pytest.raises(BadRequestError):
        client.completions.create(model=model, prompt=[5] * (positions_max - 2), max_tokens=positions_max)


def test_names_the_parameter(url, model):
    error = refuse(url, "/v1/completions", body_for("/v1/completions", model, temperature=-1))
    assert error["param"] == "temperature" and error["type"] == "invalid_request_error"


BAD_FIELDS = [("n", 0), ("n", -1), ("n", "two"), ("n", 1.5), ("n", 10**9), ("max_tokens", -1), ("max_tokens", "many"),
              ("temperature", -0.1), ("temperature", "hot"), ("top_p", 1.5), ("top_p", -1), ("top_k", -5), ("min_p", 2), ("presence_penalty", 3), ("frequency_penalty", -3),
              ("repetition_penalty", 0), ("stop", 5), ("stop", [1]), ("stream", "yes"), ("seed", "x"),
              ("logit_bias", [1]), ("logit_bias", {"x": 1}), ("stream_options", 5)]


@BOTH
@pytest.mark.parametrize("field,value", BAD_FIELDS, ids=lambda v: json.dumps(v)[:20])
def test_refuses_a_bad_field(url, model, path, field, value):
    assert refuse(url, path, body_for(path, model, **{field: value}))["message"]


@pytest.mark.parametrize("fields", [{"prompt": None}, {"prompt": 5}, {"prompt": {}}, {"prompt": [[]]}, {"prompt": []},
                                    {"prompt": [1, "a"]}, {"prompt": [-1]}, {"prompt": [10**9]}, {"logprobs": -1},
                                    {"logprobs": 10**6}, {"logprobs": "x"}, {"model": 5}], ids=lambda v: json.dumps(v)[:24])
def test_refuses_a_bad_completion(url, model, fields):
    answer = raw_http.post(url, "/v1/completions", {**body_for("/v1/completions", model), **fields})
    assert answer.status in (400, 404) and answer.error()


@pytest.mark.parametrize("messages", [None, [], "hello", [5], [{}], [{"role": "user"}], [{"content": "x"}],
                                      [{"role": 5, "content": "x"}], [{"role": "user", "content": 5}],
                                      [{"role": "user", "content": [{"type": "image_url"}]}]],
                         ids=lambda v: json.dumps(v)[:30])
def test_refuses_bad_messages(url, model, messages):
    refuse(url, "/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": 1})


@BOTH
@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b"[]", b"null", b"5", b'"x"', b"{}", b'{"model":',
                                  b"\xff\xfe\x00", b'{"model": "\xff"}', b"[" * 100000, b'{"a":' * 20000,
                                  b'{"model": 1e999}', b"\x00" * 64, b'{"a": 1} trailing'],
                         ids=lambda b: repr(b[:12]))
def test_refuses_garbage(url, path, body):
    refuse(url, path, body)


def test_survives_random_bytes(url, server):
    rng = random.Random(1)
    good = json.dumps({"model": "m", "prompt": "Once upon", "max_tokens": 3, "stop": ["a", "b"], "stream": True}).encode()
    for _ in range(300):
        body = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        answer = raw_http.post(url, "/v1/completions", bytes(body))
        assert answer.status in (200, 400, 404), (answer.status, bytes(body))
    assert server.alive()


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "\U0001F984" * 20, "é\u0301\u200d", ""],
                         ids=["surrogate", "nul", "unicorns", "combining", "empty"])
def test_survives_odd_text(url, model, text):
    answer = raw_http.post(url, "/v1/completions", {"model": model, "prompt": text, "max_tokens": 2})
    assert answer.status in (200, 400)
    if answer.status == 400:
        answer.error()


@pytest.mark.parametrize("method,path,statuses", [
    ("GET", "/v1/completions", (404, 405)), ("PUT", "/v1/completions", (404, 405)), ("POST", "/v1/models", (404, 405)),
    ("GET", "/nothing", (404,)), ("POST", "/v1/nothing", (404,)), ("GET", "/../../etc/passwd", (400, 404)),
    ("GET", "//", (404,))])
def test_answers_wrong_routes(url, method, path, statuses):
    answer = raw_http.request(url, method, path, body=b"{}" if method != "GET" else None)
    assert answer.status in statuses and answer.error()


@pytest.mark.parametrize("sent", [
    b"hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 64,
    b"GET / HTTP/1.1\r\nA: " + b"b" * 200000 + b"\r\n\r\n", b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    ids=lambda b: repr(b[:24]))
def test_survives_what_is_not_http(url, server, sent):
    with raw_http.open_socket(url, timeout=5) as link:
        try:
            link.sendall(sent)
            got = link.recv(4096)
        except (ConnectionError, TimeoutError):  # it may also wait for the rest
            got = b""
    assert got == b"" or got.startswith(b"HTTP/1."), got
    assert b" 200 " not in got.split(b"\r\n")[0]
    assert raw_http.get(url, "/health").status == 200 and server.alive()


def test_takes_a_chunked_body(url, model):
    link = raw_http.connect(url)
    body = json.dumps(body_for("/v1/completions", model)).encode()
    link.request("POST", "/v1/completions", body=iter([body[:5], body[5:]]), encode_chunked=True,
                 headers={"Transfer-Encoding": "chunked", "Content-Type": "application/json"})
    assert link.getresponse().status == 200
    link.close()


def test_answers_expect_continue(url, model):
    body = json.dumps(body_for("/v1/completions", model)).encode()
    with raw_http.open_socket(url) as link:
        link.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert link.recv(4096).startswith(b"HTTP/1.1 100")
        link.sendall(body)
        assert link.recv(4096).startswith(b"HTTP/1.1 200")
