# Starts clusters and nodes of the built program, and talks to them; needs nothing but Python's own library.
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 60


def environment(**more):
    """Ours without settings of the program, but with the model."""
    out = {name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}
    out["TROUPE_MODEL"] = str(ROOT / "models" / "tales")
    out.update(more)
    return out


def wait_until(condition, what, seconds=SECONDS_MAX):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def free_ports(count):
    """Ports that nobody listens at just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Door:
    """The HTTP server of one node."""

    def __init__(self, url):
        self.host = url.split("//")[1].rstrip("/")

    def ask(self, method, path, body=None, key=None):
        """Status and text; status 0 when nobody answers."""
        connection = http.client.HTTPConnection(self.host, timeout=SECONDS_MAX)
        try:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def get(self, path, key=None):
        return self.ask("GET", path, key=key)

    def page(self, key):
        """/admin/cluster"""
        status, text = self.get("/admin/cluster", key)
        if status != 200:
            raise AssertionError(f"{self.host} answers {status}: {text}")
        return json.loads(text)

    def complete(self, **options):
        status, text = self.ask("POST", "/v1/completions", {"model": "tales", **options})
        if status != 200:
            raise AssertionError(f"{self.host} answers {status}: {text}")
        return [choice["text"] for choice in json.loads(text)["choices"]]


class Stream(threading.Thread):
    """A completion that comes in pieces; keeps what has come."""

    def __init__(self, door, key=None, path="/v1/completions", **options):
        super().__init__(daemon=True)
        self.door, self.path, self.options = door, path, {"model": "tales", "stream": True, **options}
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.text, self.pieces, self.finished, self.trouble = "", 0, False, None
        self.id = self.last_event = self.coming = self.kept = self.status = None
        self.began = self.first_byte_s = None
        self.start()

    def ask(self, connection):
        connection.request("POST", self.path, json.dumps(self.options), self.headers)

    def run(self):
        connection = http.client.HTTPConnection(self.door.host, timeout=SECONDS_MAX)
        try:
            self.began = time.monotonic()
            self.ask(connection)
            answer = connection.getresponse()
            self.status, self.kept = answer.status, answer.getheader("X-Stream-Resume")
            self.first_byte_s = time.monotonic() - self.began
            if answer.status != 200:
                self.trouble = f"{answer.status}: {answer.read().decode()}"
                return
            for line in answer:
                self.take(line.decode().strip())
        except (OSError, http.client.HTTPException) as error:
            self.trouble = repr(error)
        finally:
            connection.close()

    def take(self, line):
        if line.startswith("id: "):
            self.coming = line[4:]
        if not line.startswith("data: "):
            return
        if line == "data: [DONE]":
            self.finished = True
            return
        event = json.loads(line[6:])  # a line that was cut off is no event
        self.last_event, self.id = self.coming, event.get("id")
        if "error" in event:
            self.trouble = line
            return
        for choice in event.get("choices", []):
            self.text += choice["delta"].get("content") or "" if "delta" in choice else choice.get("text", "")
            self.pieces += 1


class Rest(Stream):
    """What comes after the last event of a stream that broke off, by the response's id alone."""

    def __init__(self, door, broken, key=None, after=True):
        self.of, self.after = broken.id, broken.last_event if after else None
        super().__init__(door, key, f"{broken.path}/{broken.id}")

    def ask(self, connection):
        headers = {"Last-Event-ID": self.after} if self.after else {}
        connection.request("GET", self.path, headers={**self.headers, **headers})


class Program:
    """A process of the program, with what it says on standard error."""

    def __init__(self, program, *words, **variables):
        self.process = subprocess.Popen([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace", env=environment(**variables))
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def said(self):
        return "".join(self.lines)

    def wait_for(self, text):
        def look():
            if self.process.poll() is not None and text not in self.said():
                self.reader.join(5)
                if text not in self.said():
                    raise AssertionError(f"ended with {self.process.returncode}: {self.said()}")
            return text in self.said()

        wait_until(look, f"'{text}' in: {self.said()}")
        return self.said()

    def url(self):
        return self.wait_for("ready http").split("ready ")[1].split()[0]

    def send(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        """The exit code, after a signal."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        code = self.process.wait(SECONDS_MAX)
        self.reader.join(5)
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()


class Cluster:
    """troupe cluster in a folder of its own."""

    def __init__(self, program, folder, **variables):
        self.program, self.folder, self.variables = program, Path(folder), variables

    def call(self, *words, code=0):
        done = subprocess.run([self.program, "cluster", *words, "--dir", str(self.folder)], capture_output=True, text=True,
                              timeout=SECONDS_MAX, env=environment(**self.variables), check=False)
        if code is not None and done.returncode != code:
            raise AssertionError(f"cluster {' '.join(words)} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
        return done

    def up(self, nodes=3, *more):
        self.call("up", "--nodes", str(nodes), "--detach", *more)

    def down(self):
        return self.call("down", code=None)

    def status(self):
        return json.loads(self.call("status", "--json", code=None).stdout)

    def nodes(self):
        return {node["name"]: node for node in self.status()["nodes"]}

    def door(self, name):
        return Door(self.nodes()[name]["url"])

    def doors(self):
        return {name: Door(node["url"]) for name, node in self.nodes().items()}

    def key(self):
        return (self.folder / "admin.key").read_text().strip()

    def page(self, name):
        return self.door(name).page(self.key())

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")
