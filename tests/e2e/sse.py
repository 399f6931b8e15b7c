# Event streams byte by byte: cut off where a test wants, and put together again.
import json
import socket

import raw_http


class event:
    def __init__(self, block):
        self.bytes = block  # with the empty line at its end
        fields = [line.split(b": ", 1) for line in block[:-2].split(b"\n") if not line.startswith(b":")]
        assert all(len(field) == 2 for field in fields), block
        names = [field[0] for field in fields]
        assert names.count(b"data") == 1 and names.count(b"id") <= 1, block
        values = dict(fields)
        self.data = values[b"data"].decode()
        self.id = values[b"id"].decode() if b"id" in values else None
        self.done = self.data == "[DONE]"
        self.chunk = None if self.done else json.loads(self.data)

    @property
    def index(self):
        """Which choice it is of; None of what follows them all."""
        return self.chunk["choices"][0]["index"] if self.chunk and self.chunk["choices"] else None


def split(body):
    """The events of a stream, whole ones only: what was cut off in the middle does not count."""
    blocks = body.split(b"\n\n")[:-1]
    return [event(block + b"\n\n") for block in blocks if not block.startswith(b":")]


def request_bytes(method, path, body=None, headers=None):
    lines = [f"{method} {path} HTTP/1.1", "Host: test", "Connection: close"]
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def unchunk(data):
    """The body of a chunked answer as far as it has arrived."""
    out = b""
    while True:
        size, found, rest = data.partition(b"\r\n")
        if not found:
            return out
        length = int(size, 16)
        out += rest[:length]
        if length == 0 or len(rest) < length + 2:
            return out
        data = rest[length + 2:]


def cut_off(url, path, body, events, extra_bytes=0):
    """Sends the request and hangs up once so many events have arrived; what had arrived by then."""
    link = raw_http.open_socket(url)
    link.sendall(request_bytes("POST", path, body))
    received = b""
    while True:
        head, found, rest = received.partition(b"\r\n\r\n")
        body_bytes = unchunk(rest) if found else b""
        if body_bytes.count(b"\n\n") >= events:
            break
        more = link.recv(1024)
        if not more:
            break
        received += more
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    link.close()
    blocks = body_bytes.split(b"\n\n")[:-1]
    return b"".join(block + b"\n\n" for block in blocks[:events])


def by_choice(body):
    """The events of each choice in order, without ids: how choices are interleaved may differ."""
    out = {}
    for each in split(body):
        out.setdefault(each.index, []).append(each.data)
    return out
