# Plain HTTP without a client library's help: exact bytes out, exact bytes in.
import http.client
import json
import socket
from urllib.parse import urlsplit

TIMEOUT = 120


class reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def error(self):
        """The OpenAI error object; checks its shape."""
        error = self.json()["error"]
        assert set(error) >= {"message", "type", "param", "code"}, error
        assert isinstance(error["message"], str) and error["message"], error
        assert isinstance(error["type"], str) and error["type"], error
        return error


def connect(url, timeout=TIMEOUT):
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)


def request(url, method, path, body=None, headers=None, connection=None):
    """One request; `body` is bytes as they are, or a value sent as JSON."""
    link = connection or connect(url)
    try:
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        link.request(method, path, body=body, headers=headers)
        answer = link.getresponse()
        return reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        if connection is None:
            link.close()


def get(url, path, **options):
    return request(url, "GET", path, **options)


def post(url, path, body, **options):
    return request(url, "POST", path, body, **options)


def open_socket(url, timeout=TIMEOUT):
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=timeout)


def parse_events(body):
    """Splits a complete event stream strictly: every event is one `data:` line, ended by an empty line."""
    text = body.decode("utf-8")
    assert text.endswith("\n\n"), repr(text[-60:])
    events = []
    for block in text[:-2].split("\n\n"):
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        data = [line for line in lines if line.startswith("data: ")]
        assert all(line.split(":")[0] in ("data", "id", "retry") for line in lines), lines
        if lines:
            assert len(data) == 1, block
            events.append(data[0][len("data: "):])
    return events


def parse_chunks(body):
    events = parse_events(body)
    assert events[-1] == "[DONE]", events[-1]
    return [json.loads(event) for event in events[:-1]]
