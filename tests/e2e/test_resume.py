# Clients that lose their connection in the middle of a stream and come back for the rest.
import json
import shutil
import signal
import subprocess
import tempfile

import pytest

import raw_http
import sse

TEXT = "/v1/completions"
CHAT = "/v1/chat/completions"
TELL = [{"role": "user", "content": "Tell me a story."}]
LONG = {"max_tokens": 24, "ignore_eos": True}

REQUESTS = {
    "greedy": (TEXT, {"prompt": "Once upon a time", "temperature": 0, **LONG}),
    "sampled": (TEXT, {"prompt": "Once upon a time", "temperature": 1.0, "seed": 11, **LONG}),
    "no_seed": (TEXT, {"prompt": "Once upon a time", "temperature": 1.0, **LONG}),
    "to_the_end": (TEXT, {"prompt": "The end", "temperature": 0, "max_tokens": 60}),
    "stop": (TEXT, {"prompt": "Once upon a time", "temperature": 0, "stop": ["the", "zzz"], "min_tokens": 6, "max_tokens": 40}),
    "stop_held": (TEXT, {"prompt": "Once", "temperature": 0, "stop": [" and they never came back to that place"], **LONG}),
    "logprobs": (TEXT, {"prompt": "Once upon a time", "temperature": 0.7, "logprobs": 3, **LONG}),
    "echo": (TEXT, {"prompt": "Once upon a time", "temperature": 0, "echo": True, **LONG}),
    "echo_logprobs": (TEXT, {"prompt": "Once upon a time", "temperature": 0, "echo": True, "logprobs": 2, **LONG}),
    "halves_of_characters": (TEXT, {"prompt": "\U0001F984 é 你", "temperature": 2.0, "seed": 3, **LONG}),
    "usage": (TEXT, {"prompt": "Once", "temperature": 0, "stream_options": {"include_usage": True}, **LONG}),
    "scores_alone": (TEXT, {"prompt": "Once upon a time", "echo": True, "logprobs": 1, "max_tokens": 0}),
    "chat": (CHAT, {"messages": TELL, "temperature": 0, **LONG}),
    "chat_no_seed": (CHAT, {"messages": TELL, "temperature": 1.0, **LONG}),
    "chat_logprobs": (CHAT, {"messages": TELL, "temperature": 0.5, "seed": 1, "logprobs": True, "top_logprobs": 2, **LONG}),
    "chat_stop": (CHAT, {"messages": TELL, "temperature": 0, "stop": "a", "min_tokens": 4, "max_tokens": 40}),
}

MANY = {
    "n4": (TEXT, {"prompt": "Once upon a time", "temperature": 1.0, "n": 4, **LONG}),
    "n4_seed_stop": (TEXT, {"prompt": "Once", "temperature": 1.0, "seed": 5, "n": 4, "stop": "the", "max_tokens": 30}),
    "n4_echo_logprobs": (TEXT, {"prompt": "Once", "temperature": 1.0, "n": 4, "echo": True, "logprobs": 1, **LONG}),
    "prompts": (TEXT, {"prompt": ["Once upon", "The king"], "temperature": 1.0, "n": 2, **LONG}),
    "chat_n4": (CHAT, {"messages": TELL, "temperature": 1.0, "n": 4, **LONG}),
}


def body_of(case, model):
    path, body = {**REQUESTS, **MANY}[case]
    return path, {"model": model, "stream": True, **body}


def whole_stream(url, path, body):
    answer = raw_http.post(url, path, body)
    if answer.status == 400 and "template" in answer.json()["error"]["message"]:
        pytest.skip("the model has no chat template")
    assert answer.status == 200, answer.body
    events = sse.split(answer.body)
    assert events[-1].done and all(event.id for event in events)
    assert b"".join(event.bytes for event in events) == answer.body
    return events


def resumed(url, path, body, after, how, response_id=None):
    if how == "post":
        answer = raw_http.post(url, path, body, headers={"Last-Event-ID": after})
    elif how == "get":
        answer = raw_http.get(url, f"{path}/{response_id}", headers={"Last-Event-ID": after})
    else:
        answer = raw_http.get(url, f"{path}/{response_id}?after={after}")
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.body


def without_cached(data):
    """How many tokens of the prompt were cached is a fact of the computation and not of the answer."""
    if not data.startswith("{"):
        return data
    chunk = json.loads(data)
    if chunk.get("usage"):
        chunk["usage"].pop("prompt_tokens_details", None)
    return json.dumps(chunk)


def comparable(body):
    return {index: [without_cached(data) for data in events] for index, events in sse.by_choice(body).items()}


def same(ours, theirs):
    if ours != theirs:
        assert [without_cached(e.data) for e in sse.split(ours)] == [without_cached(e.data) for e in sse.split(theirs)]
        assert b"cached_tokens" in ours
        assert [e.id for e in sse.split(ours)] == [e.id for e in sse.split(theirs)]


@pytest.mark.parametrize("how", ["post", "get", "after"])
@pytest.mark.parametrize("case", REQUESTS)
def test_every_place_to_break_off(url, model, case, how):
    path, body = body_of(case, model)
    events = whole_stream(url, path, body)
    whole = b"".join(event.bytes for event in events)
    had = b""
    for event in events:
        had += event.bytes
        rest = resumed(url, path, body, event.id, how, events[0].chunk["id"])
        same(had + rest if not event.done else had, whole)
        if event.done:
            assert rest == event.bytes, "the end mark again, so that a client knows it has everything"


@pytest.mark.parametrize("case", MANY)
def test_every_place_to_break_off_of_many_choices(url, model, case):
    path, body = body_of(case, model)
    events = whole_stream(url, path, body)
    whole = comparable(b"".join(event.bytes for event in events))
    had = b""
    for number, event in enumerate(events):
        had += event.bytes
        how = ("post", "get", "after")[number % 3]
        rest = resumed(url, path, body, event.id, how, events[0].chunk["id"])
        assert comparable(had + (b"" if event.done else rest)) == whole


@pytest.mark.parametrize("case", ["no_seed", "chat_no_seed", "echo_logprobs"])
def test_breaking_off_again_and_again(url, model, case):
    """Every connection dies after one more event."""
    path, body = body_of(case, model)
    events = whole_stream(url, path, body)
    response_id, had = events[0].chunk["id"], [events[0]]
    while not had[-1].done:
        rest = resumed(url, path, body, had[-1].id, "post" if len(had) % 2 else "get", response_id)
        had.append(sse.split(rest)[0])
    assert b"".join(e.bytes for e in had) == b"".join(e.bytes for e in events)


@pytest.mark.parametrize("events", [1, 2, 5, 11, 23])
def test_a_connection_that_really_dies(url, model, events):
    path, body = body_of("no_seed", model)
    had = sse.cut_off(url, path, body, events)
    last = sse.split(had)[-1]
    rest = resumed(url, path, body, last.id, "post")
    again = raw_http.get(url, f"{path}/{last.chunk['id']}")
    assert had + rest == again.body, "GET without an event id gives all of it again"


def test_the_official_client_reads_a_stream_with_ids(complete):
    chunks = list(complete(temperature=0, max_tokens=12, stream=True))
    assert "".join(c.choices[0].text for c in chunks) == complete(temperature=0, max_tokens=12).choices[0].text


def test_the_official_client_can_resume(client, complete, model):
    stream = complete(temperature=1.0, max_tokens=24, stream=True, extra_body={"ignore_eos": True})
    raw = stream.response
    lines, last, texts = raw.iter_lines(), None, []
    for line in lines:
        if line.startswith("id: "):
            last = line[4:]
        if line.startswith("data: {"):
            chunk = json.loads(line[6:])
            texts.append(chunk["choices"][0]["text"])
        if line == "" and len(texts) == 5:
            break
    raw.close()
    rest = complete(temperature=1.0, max_tokens=24, stream=True, extra_body={"ignore_eos": True},
                    extra_headers={"Last-Event-ID": last})
    chunks = list(rest)
    assert {c.id for c in chunks} == {chunk["id"]} and {c.created for c in chunks} == {chunk["created"]}
    texts += [c.choices[0].text for c in chunks]
    whole = raw_http.get(str(client.base_url).split("/v1")[0], f"{TEXT}/{chunk['id']}")
    assert "".join(texts) == "".join(c["choices"][0]["text"] for c in raw_http.parse_chunks(whole.body))


def test_says_how_far_an_answer_can_be_resumed(url, model):
    path, body = body_of("greedy", model)
    assert raw_http.post(url, path, body).headers["x-stream-resume"] in ("memory", "disk", "cluster")


def test_ids_can_be_left_out(url, model):
    path, body = body_of("greedy", model)
    answer = raw_http.post(url, path, {**body, "stream_options": {"include_event_ids": False}})
    assert b"id: " not in answer.body and raw_http.parse_chunks(answer.body)


@pytest.mark.parametrize("bad", ["7", "nonsense", "A" * 70, "\u00e9", "x" * 5000, "null", "-1", "cmpl-1"])
def test_refuses_ids_that_are_none(url, model, bad):
    path, body = body_of("greedy", model)
    link = raw_http.open_socket(url)
    link.sendall(sse.request_bytes("POST", path, body).replace(
        b"Connection: close", b"Connection: close\r\nLast-Event-ID: " + bad.encode()))
    answer = b""
    while more := link.recv(4096):
        answer += more
    link.close()
    assert answer.startswith(b"HTTP/1.1 400") and b"Last-Event-ID" in answer


def test_refuses_changed_ids(url, model):
    path, body = body_of("greedy", model)
    good = whole_stream(url, path, body)[3].id
    for at in range(len(good)):
        bad = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1:]
        answer = raw_http.post(url, path, body, headers={"Last-Event-ID": bad})
        assert answer.status == 400 and answer.error()["param"] == "Last-Event-ID"


@pytest.mark.parametrize("change", [{"prompt": "Once upon a"}, {"max_tokens": 23}, {"temperature": 0.1}, {"seed": 1}, {"n": 2},
                                    {"stop": "x"}, {"logprobs": 1}, {"echo": True}, {"top_p": 0.5}])
def test_refuses_another_body(url, model, change):
    path, body = body_of("greedy", model)
    good = whole_stream(url, path, body)[3].id
    answer = raw_http.post(url, path, {**body, **change}, headers={"Last-Event-ID": good})
    assert answer.status == 409 and answer.error()["code"] == "request_mismatch"
    assert answer.headers["x-should-retry"] == "false"


def test_the_same_body_may_be_spelled_differently(url, model):
    path, body = body_of("greedy", model)
    events = whole_stream(url, path, body)
    spelled = json.dumps(dict(reversed(body.items())), indent=3).encode()
    answer = raw_http.post(url, path, spelled, headers={"Last-Event-ID": events[4].id})
    assert answer.body == b"".join(event.bytes for event in events[5:])


def test_refuses_a_whole_answer_after_an_event(url, model):
    path, body = body_of("greedy", model)
    good = whole_stream(url, path, body)[3].id
    answer = raw_http.post(url, path, {**body, "stream": False}, headers={"Last-Event-ID": good})
    assert answer.status == 400 and answer.error()["param"] == "Last-Event-ID"


def test_knows_what_it_does_not_know(url, model):
    for path in (TEXT, CHAT):
        answer = raw_http.get(url, f"{path}/cmpl-0123456789abcdef")
        assert answer.status == 404 and answer.error()["code"] == "response_not_found"
    path, body = body_of("greedy", model)
    response_id = whole_stream(url, path, body)[0].chunk["id"]
    assert raw_http.get(url, f"{CHAT}/{response_id}").status == 404
    other = whole_stream(url, path, body)[0].id
    answer = raw_http.get(url, f"{path}/{response_id}", headers={"Last-Event-ID": other})
    assert answer.status == 409 and answer.error()["code"] == "response_mismatch"
    assert raw_http.get(url, f"{path}/{response_id}", headers={"Last-Event-ID": "x"}).status == 400


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="troupe_e2e_")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_goes_on_after_the_process_was_killed(start_server, folder):
    """SIGKILL in the middle of the streams; the next process has them from its disk."""
    flags = ("--data-dir", folder)
    broken = []
    with start_server(*flags) as server:
        model = raw_http.get(server.url, "/v1/models").json()["data"][0]["id"]
        for case in (*REQUESTS, *MANY):
            path, body = body_of(case, model)
            probe = raw_http.post(server.url, path, body)
            if probe.status != 200:
                continue
            assert probe.headers["x-stream-resume"] == "disk"
            had = sse.cut_off(server.url, path, body, 3)
            if had:
                broken.append((path, body, had))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    assert len(broken) > 10
    with start_server(*flags) as server, start_server() as other:
        for path, body, had in broken:
            last = sse.split(had)[-1]
            response_id = next(e.chunk["id"] for e in sse.split(had) if e.chunk)
            whole = raw_http.get(server.url, f"{path}/{response_id}")
            assert whole.status == 200, whole.body
            expected = comparable(whole.body)
            for rest in (resumed(server.url, path, body, last.id, "get", response_id),
                         resumed(server.url, path, body, last.id, "post"),
                         resumed(other.url, path, body, last.id, "post")):  # it never heard of the request
                assert comparable(had + (b"" if last.done else rest)) == expected


def test_another_process_may_not_use_the_same_folder(start_server, folder):
    with start_server("--data-dir", folder) as server:
        second = subprocess.run([*server.command[:4], "--port", "0", "--data-dir", folder], capture_output=True, text=True,
                                timeout=120)
        assert second.returncode == 1 and "another process" in second.stderr


def test_old_requests_are_let_go(start_server, folder):
    with start_server("--data-dir", folder, "--journal-bytes", "64K") as server:
        model = raw_http.get(server.url, "/v1/models").json()["data"][0]["id"]
        body = {"model": model, "prompt": "Once " * 200, "max_tokens": 2, "stream": True}
        first = whole_stream(server.url, TEXT, body)
        for _ in range(80):
            whole_stream(server.url, TEXT, body)
        answer = raw_http.get(server.url, f"{TEXT}/{first[0].chunk['id']}")
        assert answer.status == 410 and answer.error()["code"] == "response_gone"
        rest = raw_http.post(server.url, TEXT, body, headers={"Last-Event-ID": first[0].id})
        assert first[0].bytes + rest.body == b"".join(event.bytes for event in first)
        used = subprocess.run(["du", "-sb", folder], capture_output=True, text=True, check=True)
        assert int(used.stdout.split()[0]) < 100_000


def test_a_folder_that_fills_up_stops_no_stream(start_server, folder):
    """Nothing can be written any more: answers go on and say that they are kept in memory alone."""
    with start_server("--data-dir", folder) as server:
        model = raw_http.get(server.url, "/v1/models").json()["data"][0]["id"]
        body = {"model": model, "prompt": "Once", "max_tokens": 4, "stream": True}
        assert raw_http.post(server.url, TEXT, body).headers["x-stream-resume"] == "disk"
        shutil.rmtree(f"{folder}/requests")
        answer = raw_http.post(server.url, TEXT, body)
        assert answer.headers["x-stream-resume"] == "memory"
        response_id = sse.split(answer.body)[0].chunk["id"]
        assert raw_http.get(server.url, f"{TEXT}/{response_id}").body == answer.body
        metrics = raw_http.get(server.url, "/metrics").body.decode()
        assert "troupe_journal_write_failures_total 1\n" in metrics


def test_an_answer_is_given_again_only_to_its_key(start_server):
    with start_server("--api-key", "one", "--api-key", "two") as server:
        key = lambda name: {"Authorization": f"Bearer {name}"}
        answer = raw_http.post(server.url, TEXT, {"prompt": "Once", "max_tokens": 4, "stream": True}, headers=key("one"))
        path = f"{TEXT}/{sse.split(answer.body)[0].chunk['id']}"
        assert raw_http.get(server.url, path, headers=key("one")).body == answer.body
        assert raw_http.get(server.url, path, headers=key("two")).status == 404
        assert raw_http.get(server.url, path).status == 401
