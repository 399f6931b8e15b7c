# Documents to learn from over POST /v1/data: by the official client's own transport, through kills of the server.
import json
import os
import signal
import subprocess

import pytest

import raw_http
from conftest import make_client

KEY = "teach-me"


@pytest.fixture
def taking(start_server, tmp_path):
    """Starts a server over the same log as often as asked."""
    running = []

    def start():
        server = start_server("--ingest", str(tmp_path / "data"), "--ingest-key", KEY)
        running.append(server)
        return server.__enter__()

    yield start
    for server in running:
        server.stop()


def texts(folder):
    """What the log holds, by the learner's own eyes: the bytes of its segments, in order."""
    return b"".join(path.read_bytes() for path in sorted((folder / "data" / "log").glob("ingest-*")))


def test_the_official_client_teaches(taking, tmp_path):
    server = taking()
    with make_client(server.url, key=KEY) as client:
        receipt = client.post("/data", body={"text": "It was a dark night.", "domain": "tales"}, cast_to=dict)
    assert receipt == {"object": "data.receipt", "first": 0, "count": 1, "repeated": False}
    assert b"It was a dark night." in texts(tmp_path)


def test_curl_sends_a_file_line_by_line(taking, tmp_path):
    server = taking()
    lines = tmp_path / "lines.ndjson"
    lines.write_text("".join(json.dumps({"text": f"line {i}"}) + "\n" for i in range(500)))
    try:
        answer = subprocess.run(["curl", "-sS", f"{server.url}/v1/data", "-H", f"Authorization: Bearer {KEY}", "-H",
                                 "X-Client-Id: curl", "-H", "X-Sequence: 1", "--data-binary", f"@{lines}"],
                                capture_output=True, timeout=60, check=True).stdout
    except FileNotFoundError:
        pytest.skip("needs curl")
    assert json.loads(answer)["count"] == 500


def test_only_holders_of_the_key_may_teach(taking):
    server = taking()
    assert raw_http.post(server.url, "/v1/data", {"text": "x"}).status == 401
    assert raw_http.get(server.url, "/v1/models").status == 200


def test_without_a_log_nothing_is_taken_in(url):
    answer = raw_http.post(url, "/v1/data", {"text": "x"}, headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status == 403
    assert answer.error()["code"] == "ingest_disabled"


def test_what_was_answered_survives_kills_and_is_kept_once(taking, tmp_path):
    """The server is killed after every fourth request; the client repeats each until it has heard an answer."""
    server = taking()
    first_seen = {}
    for number in range(1, 13):
        body = {"text": f"document number {number:04}"}
        headers = {"Authorization": f"Bearer {KEY}", "X-Client-Id": "me", "X-Sequence": str(number)}
        for _ in range(2):  # the second time as if the answer had been lost
            answer = raw_http.post(server.url, "/v1/data", body, headers=headers)
            assert answer.status == 200, answer.body
            receipt = answer.json()
            assert first_seen.setdefault(number, receipt["first"]) == receipt["first"]
        assert receipt["repeated"] is True
        if number % 4 == 0:
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(60)
            server = taking()
            again = raw_http.post(server.url, "/v1/data", body, headers=headers).json()
            assert again == {"object": "data.receipt", "first": first_seen[number], "count": 1, "repeated": True}
    assert sorted(first_seen.values()) == list(range(12))
    held = texts(tmp_path)
    for number in range(1, 13):
        assert held.count(f"document number {number:04}".encode()) == 1


def test_a_body_that_cannot_be_read_names_the_line(taking, tmp_path):
    server = taking()
    answer = raw_http.post(server.url, "/v1/data", b'{"text": "fine"}\n{"txt": 1}\n',
                           headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status == 400
    assert "line 2: text is missing" in answer.error()["message"]
    assert b"fine" not in texts(tmp_path)


def test_another_process_learns_while_the_server_takes_in(taking, tmp_path):
    """The server goes on taking documents in while a learner reads them, and after it has said what it learnt."""
    server = taking()
    headers = {"Authorization": f"Bearer {KEY}"}

    def teach(numbers):
        body = "".join(json.dumps({"text": f"The king had {n} sons and {n} horses.", "id": n}) + "\n" for n in numbers)
        answer = raw_http.post(server.url, "/v1/data", body.encode(), headers=headers)
        assert answer.status == 200, answer.body

    def learn(model, out):
        learner = subprocess.run([os.environ["TROUPE_PROGRAM"], "learn", "--ingest", str(tmp_path / "data"), "--model", str(model),
                                  "--out", str(tmp_path / out), "--steps", "50", "--step-tokens", "100", "--context", "64"],
                                 capture_output=True, text=True, timeout=120, check=True)
        return learner.stderr

    subprocess.run([os.environ["TROUPE_PROGRAM"], "model", "synth", "tiny", "--out", str(tmp_path / "base")], check=True,
                   capture_output=True, timeout=60)
    teach(range(20))
    assert "20 documents looked at: 20 accepted" in learn(tmp_path / "base", "first")
    teach(range(15, 30))
    said = learn(tmp_path / "first", "second")
    assert "the log from document 20 on" in said
    assert "35 documents looked at: 30 accepted" in said and "5 duplicate" in said
