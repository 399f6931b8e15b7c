# Server-sent events of one HTTP request, over asyncio and nothing else, with the time each one came.
import asyncio
import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HEADER_BYTES_MAX = 1 << 16


class Refused(Exception):
    """An answer that is no stream: its status and what it says."""

    def __init__(self, status, body):
        super().__init__(f"HTTP {status}: {body[:200]!r}")
        self.status = status


class Broken(Exception):
    """The connection ended before the stream did, or the server said that it cannot go on."""


@dataclass
class Event:
    id: str
    data: str


@dataclass
class _Parser:
    """Lines to events; a blank line ends one."""

    event_id: str = ""
    data: list = field(default_factory=list)

    def line(self, line):
        if not line:
            if not self.data:
                return None
            event = Event(self.event_id, "\n".join(self.data))
            self.data = []
            return event
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self.event_id = value
        elif name == "data":
            self.data.append(value)
        return None


async def _head(reader):
    raw = await reader.readuntil(b"\r\n\r\n")
    lines = raw.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(lines[0].split()[1]), headers


async def _pieces(reader, headers):
    """The body, as it comes."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).strip().split(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
        return
    if "content-length" in headers:
        yield await reader.readexactly(int(headers["content-length"]))
        return
    while piece := await reader.read(1 << 16):
        yield piece


async def request(url, method, path, body=None, headers=None, timeout=10):
    """One whole answer: (status, bytes). For everything that is no stream."""

    async def ask():
        reader, writer = await _open(url, method, path, body, headers)
        try:
            status, got = await _head(reader)
            return status, b"".join([piece async for piece in _pieces(reader, got)])
        finally:
            writer.close()

    return await asyncio.wait_for(ask(), timeout)


async def _open(url, method, path, body, headers):
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=1 << 20)
    payload = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {where.netloc}", "Connection: close",
             f"Content-Length: {len(payload)}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + payload)
    await writer.drain()
    return reader, writer


async def events(url, path, body, last_event_id="", silence_max=30.0):
    """The events of a streaming answer. Refused: no stream; Broken: it ended too early."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    writer = None
    try:
        reader, writer = await asyncio.wait_for(_open(url, "POST", path, body, headers), 5)
        status, got = await asyncio.wait_for(_head(reader), silence_max)
        if status != 200:
            body = b"".join([piece async for piece in _pieces(reader, got)])
            raise Refused(status, body)
        parser, rest = _Parser(), b""
        pieces = _pieces(reader, got)
        while True:
            try:
                piece = await asyncio.wait_for(anext(pieces), silence_max)
            except StopAsyncIteration:
                raise Broken("ended without [DONE]") from None
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if event := parser.line(line.rstrip(b"\r").decode()):
                    yield event
                    if event.data == "[DONE]":
                        return
    except (OSError, EOFError, asyncio.TimeoutError, asyncio.IncompleteReadError) as why:
        raise Broken(repr(why)) from None
    finally:
        if writer is not None:
            writer.close()
