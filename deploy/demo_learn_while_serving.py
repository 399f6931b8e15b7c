#!/usr/bin/env python3
"""A server that learns German tales while it answers: demo_learn_while_serving.py PROGRAM GERMAN.txt [options].

Three processes meet in a folder: `troupe serve` answers and takes documents in, `troupe learn` learns from them and
publishes versions of the weights, judged by held-out texts, and the server takes over what passed. A client asks all
the time. GERMAN.txt holds documents separated by <|endoftext|> or blank lines; every tenth is held out. With --kill the learner and the
server are killed (SIGKILL) in the middle and go on.
"""
import argparse
import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

# Margaret Hunt's translation of 1884.
ENGLISH = """In old times when wishing still helped one, there lived a king whose daughters were all beautiful, but the \
youngest was so beautiful that the sun itself, which has seen so much, was astonished whenever it shone in her face. \
Close by the King's castle lay a great dark forest, and under an old lime-tree in the forest was a well, and when the \
day was very warm, the King's child went out into the forest and sat down by the side of the cool fountain, and when \
she was dull she took a golden ball, and threw it up on high and caught it, and this ball was her favourite plaything."""


class child:
    """A program whose lines on standard error are kept."""

    def __init__(self, name, words, nice=0):
        self.name, self.lines = name, []
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TROUPE_")}
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
                                        preexec_fn=lambda: os.nice(nice))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, pattern, seconds=120):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        sys.exit(f"{self.name} ended or said nothing like '{pattern}':\n" + "\n".join(self.lines[-20:]))

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=60)


class demonstration:
    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        self.key = secrets.token_hex(16)
        self.port = None
        self.answers, self.failures, self.longest = 0, 0, 0.0
        self.prints = set()
        text = options.german.read_text()
        documents = [d.strip() for d in text.split("<|endoftext|>" if "<|endoftext|>" in text else "\n\n")]
        documents = [d for d in documents if len(d) >= 200]
        if len(documents) < 20:
            sys.exit(f"{options.german}: holds {len(documents)} documents of 200 characters and more; 20 are needed")
        self.held_out, self.german = documents[9::10], [d for i, d in enumerate(documents) if i % 10 != 9]
        (self.folder / "german.jsonl").write_text("".join(json.dumps({"text": d}) + "\n" for d in self.held_out[:40]))
        (self.folder / "english.txt").write_text(ENGLISH)

    def troupe(self, *words):
        return [str(self.options.program), *words]

    def start_server(self):
        keys = self.folder / "ingest.keys"
        keys.write_text(self.key + "\n")
        keys.chmod(0o600)
        self.server = child("the server", self.troupe(
            "serve", "--weights-dir", str(self.folder / "weights"), "--ingest", str(self.folder / "ingest"), "--ingest-key-file",
            str(keys), "--port", str(self.port or 0), "--served-model-name", "tales", "--kv-memory", "64M"))
        self.port = int(self.server.wait_for(r"^ready http\S+:(\d+)")[1])

    def start_learner(self):
        folder = self.folder
        self.learner = child("the learner", self.troupe(
            "learn", "--ingest", str(folder / "ingest"), "--follow", "--resume", "--checkpoints", str(folder / "checkpoints"),
            "--checkpoint-every", str(self.options.publish_every), "--publish", str(folder / "weights"), "--publish-every",
            str(self.options.publish_every), "--promote", "--gate", f"german={folder / 'german.jsonl'}", "--gate",
            f"english={folder / 'english.txt'}", "--gate-epsilon", str(self.options.epsilon), "--steps", "100000", "--step-tokens",
            "1024", "--context", "256", "--decay", "constant", "--learning-rate", "1e-3", "--teacher", "start", "--threads", "1"),
            nice=10)

    def request(self, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, content

    def teach(self):
        number = 0
        for begin in range(0, len(self.german), 8):
            body = "".join(json.dumps({"text": d, "domain": "german"}) + "\n" for d in self.german[begin:begin + 8])
            number += 1
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/x-ndjson", "X-Client-Id": "demo",
                       "X-Sequence": str(number)}
            while not self.over.is_set():
                try:
                    status, content = self.request("/v1/data", body, headers)
                except (OSError, http.client.HTTPException):
                    status, content = 503, b""
                if status == 200:
                    break
                if status not in (429, 503):
                    sys.exit(f"/v1/data: {status}: {content}")
                time.sleep(0.5)
            if self.over.wait(0.3):
                return

    def ask(self):
        body = json.dumps({"model": "tales", "prompt": "Es war einmal", "max_tokens": 32, "temperature": 0})
        while not self.over.is_set():
            begin = time.monotonic()
            try:
                status, content = self.request("/v1/completions", body, {"Content-Type": "application/json"})
            except (OSError, http.client.HTTPException):
                status = 0
            if status == 200:
                answer = json.loads(content)
                self.answers += 1
                self.prints.add(answer["system_fingerprint"])
                self.said = answer["choices"][0]["text"]
                self.longest = max(self.longest, time.monotonic() - begin)
            elif not self.killed:
                self.failures += 1
            time.sleep(0.1)

    def run(self):
        for words in (["weights", "add"], ["weights", "promote", "1"]):
            subprocess.run(self.troupe(*words, "--weights-dir", str(self.folder / "weights")), check=True, stdout=subprocess.DEVNULL)
        self.start_server()
        self.start_learner()
        self.over, self.killed, self.said = threading.Event(), False, ""
        threads = [threading.Thread(target=work, daemon=True) for work in (self.teach, self.ask)]
        for each in threads:
            each.start()
        print("version  step  german  english  (bits per byte, held out)", flush=True)
        seen, figures, deadline = 0, [], time.monotonic() + self.options.seconds
        while len(figures) < self.options.versions and time.monotonic() < deadline:
            if self.learner.process.poll() is not None:
                sys.exit("the learner ended:\n" + "\n".join(self.learner.lines[-20:]))
            lines = list(self.learner.lines)
            for line in lines[seen:]:
                if found := re.match(r"version (\d+) of step (\d+), german ([\d.]+), english ([\d.]+)(.*)", line):
                    figures.append((float(found[3]), float(found[4])))
                    print(f"{found[1]:>7}  {found[2]:>4}  {found[3]:>6}  {found[4]:>7}{found[5]}", flush=True)
            seen = len(lines)
            if self.options.kill and not self.killed and len(figures) >= self.options.versions // 2:
                self.killed, seen = True, 0
                self.learner.end(signal.SIGKILL)
                self.server.end(signal.SIGKILL)
                print("         learner and server were killed and start again", flush=True)
                self.start_server()
                self.start_learner()
            time.sleep(0.2)
        time.sleep(2)  # the server takes the last version over
        self.over.set()
        for each in threads:
            each.join(timeout=60)
        self.learner.end(signal.SIGINT)
        self.server.end()
        return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("german", type=Path)
    parser.add_argument("--versions", type=int, default=8, help="versions to wait for")
    parser.add_argument("--publish-every", type=int, default=10, help="steps from one to the next")
    parser.add_argument("--epsilon", type=float, default=0.1, help="bits per byte that English may lose from one to the next")
    parser.add_argument("--seconds", type=int, default=900, help="when to give up")
    parser.add_argument("--kill", action="store_true", help="kill learner and server in the middle")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="troupe_demo_") as folder:
        shown = demonstration(options, folder)
        try:
            figures = shown.run()
        finally:
            for name in ("learner", "server"):
                if hasattr(shown, name):
                    getattr(shown, name).end(signal.SIGKILL)
    if len(figures) < options.versions:
        sys.exit(f"only {len(figures)} versions in {options.seconds} s")
    print(f"German {figures[0][0]:.3f} -> {figures[-1][0]:.3f}, English {figures[0][1]:.3f} -> {figures[-1][1]:.3f}")
    print(f"{shown.answers} answers by {len(shown.prints)} versions of the weights, {shown.failures} failed, the longest took "
          f"{shown.longest:.2f} s; the last one: Es war einmal{shown.said!r}")
    if figures[-1][0] >= figures[0][0] or shown.failures > 0 or len(shown.prints) < 2:
        sys.exit("that is not what was to be shown")


if __name__ == "__main__":
    main()
