# Event streams on the wire: framing, many at once, and clients that go away.
import json
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

import raw_http
from troupe_server import wait_until


def stream_bytes(url, path, body):
    answer = raw_http.post(url, path, {**body, "stream": True})
    assert answer.status == 200
    return answer


@pytest.mark.parametrize("usage", [False, True])
def test_frames_events(url, model, usage):
    body = {"model": model, "prompt": "Once", "max_tokens": 8, "ignore_eos": True}
    if usage:
        body["stream_options"] = {"include_usage": True}
    answer = stream_bytes(url, "/v1/completions", body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "no-cache" in answer.headers.get("cache-control", "no-cache")
    chunks = raw_http.parse_chunks(answer.body)
    assert all(c["object"] == "text_completion" for c in chunks)
    assert (chunks[-1]["choices"] == []) == usage
    assert all(c.get("usage") is None for c in chunks[:-1])


def test_splits_no_character_between_chunks(url, model):
    answer = stream_bytes(url, "/v1/completions", {"model": model, "prompt": "\U0001F984 é 你", "max_tokens": 40,
                                                   "temperature": 2.0, "seed": 1, "ignore_eos": True})
    for chunk in raw_http.parse_chunks(answer.body):
        for choice in chunk["choices"]:
            choice["text"].encode("utf-8")  # a lone surrogate would raise


def test_streams_to_curl(url, model):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    body = json.dumps({"model": model, "prompt": "Once", "max_tokens": 6, "stream": True})
    done = subprocess.run(["curl", "-sSN", "-i", f"{url}/v1/completions", "-H", "Content-Type: application/json", "-d", body],
                          capture_output=True, timeout=120, check=True)
    head, events = done.stdout.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200")
    lines = events.decode().split("\n")
    assert lines[-1] == "" and lines[-2] == "" and lines[-3] == "data: [DONE]"
    data = [line for line in lines if line and not line.startswith((":", "id:", "retry:"))]
    assert all(line.startswith("data: ") for line in data)
    for line in data[:-1]:
        assert json.loads(line[6:])["choices"][0]["index"] == 0


def test_answers_the_curl_line_people_copy(url, chat, model):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4})
    done = subprocess.run(["curl", "-sS", f"{url}/v1/chat/completions", "-H", "Content-Type: application/json", "-d", body],
                          capture_output=True, timeout=120, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["role"] == "assistant"


def test_sends_tokens_as_they_come(url, model, long_request):
    link = raw_http.connect(url)
    link.request("POST", "/v1/completions", json.dumps({**long_request, "stream": True}),
                 {"Content-Type": "application/json"})
    answer = link.getresponse()
    assert answer.readline().startswith(b"id: ")
    assert answer.readline().startswith(b"data: {") and answer.readline() == b"\n"
    answer.read()
    link.close()


def test_serves_64_streams_at_once(complete):
    def run(i):
        return "".join(c.choices[0].text for c in complete(f"Tale {i}:", temperature=0, max_tokens=24, stream=True))

    with ThreadPoolExecutor(64) as pool:
        crowd = list(pool.map(run, range(64)))
    assert len(crowd) == 64
    for i in (0, 17, 63):
        assert crowd[i] == run(i)


def close_hard(link):
    link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # reset, not finish
    link.close()


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("hard", [False, True], ids=["closed", "reset"])
def test_frees_everything_when_a_client_goes_away(url, metrics, long_request, stream, hard):
    assert wait_until(lambda: metrics()["troupe_requests_running"] == 0)
    links = []
    for _ in range(4):
        link = raw_http.connect(url)
        link.request("POST", "/v1/completions", json.dumps({**long_request, "n": 4, "stream": stream}),
                     {"Content-Type": "application/json"})
        links.append(link)
    answers = [link.getresponse() for link in links] if stream else []
    for answer in answers:
        assert answer.readline().startswith(b"id: ") and answer.readline().startswith(b"data: ")
    if not stream:
        wait_until(lambda: metrics()["troupe_requests_running"] > 0, seconds=5, every=0.01)
    for link in links:
        close_hard(link) if hard else link.close()
    for answer in answers:
        answer.close()
    assert wait_until(lambda: metrics()["troupe_requests_running"] == 0)
    assert wait_until(lambda: metrics()["vllm:kv_cache_usage_perc"] == 0)
    count = metrics()["vllm:generation_tokens_total"]
    assert metrics()["vllm:generation_tokens_total"] == count
    assert raw_http.get(url, "/health").status == 200
