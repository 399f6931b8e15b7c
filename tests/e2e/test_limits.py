# Servers with flags of their own: full queues, keys, idle connections, shutdown.
import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import AuthenticationError, RateLimitError

import raw_http
from conftest import make_client
from troupe_server import wait_until

IDLE = 1000


def test_says_when_to_try_again(start_server, long_request):
    with start_server("--max-queued-requests", "1", "--max-running", "1") as server:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: raw_http.post(server.url, "/v1/completions", long_request), range(16)))
        statuses = [a.status for a in answers]
        assert set(statuses) == {200, 429}, statuses
        for answer in answers:
            if answer.status == 429:
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.error()["type"]
        assert raw_http.post(server.url, "/v1/completions", {**long_request, "max_tokens": 1}).status == 200


def test_raises_the_clients_rate_limit_error(start_server, long_request):
    with start_server("--max-queued-requests", "1", "--max-running", "1") as server, make_client(server.url) as client:
        threads = [threading.Thread(target=raw_http.post, args=(server.url, "/v1/completions", long_request))
                   for _ in range(6)]
        for thread in threads:
            thread.start()

        def is_refused():
            try:
                client.completions.create(model=long_request["model"], prompt="x", max_tokens=1)
            except RateLimitError as error:
                return error
            return None

        error = wait_until(is_refused, seconds=10, every=0.01)
        for thread in threads:
            thread.join()
        assert error and error.status_code == 429


def test_asks_for_its_key(start_server, model):
    with start_server("--api-key", "secret") as server:
        for key in ("wrong", "secre", "secret2"):
            with make_client(server.url, key) as client, pytest.raises(AuthenticationError):
                client.models.list()
        answer = raw_http.post(server.url, "/v1/completions", {"model": model, "prompt": "x", "max_tokens": 1})
        assert answer.status == 401 and answer.error()["code"] == "invalid_api_key"
        assert raw_http.get(server.url, "/health").status == 200
        with make_client(server.url, "secret") as client:
            assert client.completions.create(model=model, prompt="x", max_tokens=1).choices


def test_stays_healthy_with_a_thousand_idle_connections(url, server, complete):
    links = []
    try:
        for i in range(IDLE):
            link = raw_http.open_socket(url, timeout=20)
            if i % 10 == 0:
                link.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Le")
            links.append(link)
        assert raw_http.get(url, "/health").status == 200
        assert complete(max_tokens=4).choices[0].text is not None
        assert len(list(complete(max_tokens=4, stream=True))) > 0
    except OSError as error:
        if error.errno == 24:
            pytest.skip(f"this machine allows only {len(links)} open files")
        raise
    finally:
        for link in links:
            link.close()
    assert raw_http.get(url, "/health").status == 200 and server.alive()


def test_finishes_running_requests_before_it_stops(start_server, model):
    with start_server() as server:
        link = raw_http.connect(server.url)
        link.request("POST", "/v1/completions",
                     json.dumps({"model": model, "prompt": "Once", "max_tokens": 48, "stream": True, "ignore_eos": True}),
                     {"Content-Type": "application/json"})
        answer = link.getresponse()
        first = answer.readline()
        server.process.send_signal(signal.SIGTERM)
        chunks = raw_http.parse_chunks(first + answer.read())
        assert chunks[-1]["choices"][0]["finish_reason"] == "length"
        assert server.process.wait(60) == 0  # one signal: a second would end it at once


def test_stops_at_once_when_idle(start_server):
    with start_server() as server:
        assert server.stop() == 0
