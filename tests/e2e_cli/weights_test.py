#!/usr/bin/env python3
# Weights that change while a real server answers: weights_test.py PROGRAM [unittest arguments].
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

PROGRAM = ""
SECONDS_MAX = 60
PROMPTS = ["The king", "Once there was", "A fox and a raven", "In the dark forest"]


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}


def run(*words):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=SECONDS_MAX, env=environment(),
                          check=False)


class server:
    def __init__(self, folder, *flags):
        self.lines = []
        self.process = subprocess.Popen([PROGRAM, "serve", "--weights-dir", str(folder), "--port", "0", "--kv-memory", "64M",
                                         "--max-model-len", "512", *flags],
                                        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment())
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.port = int(re.search(r":(\d+)$", self.wait_for(r"^ready http\S+"))[1])

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, pattern, since=0):
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            for line in self.lines[since:]:
                if re.search(pattern, line):
                    return line
            if self.process.poll() is not None and not self.reader.is_alive():
                break
            time.sleep(0.02)
        raise AssertionError(f"no line like {pattern}: {self.lines}")

    # The text, the fingerprints of its events, and the id of the last one.
    def ask(self, prompt, tokens=40, headers=None, cut_after=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_MAX)
        body = {"model": "weights", "prompt": prompt, "max_tokens": tokens, "temperature": 0.9, "seed": 3,
                "ignore_eos": True, "stream": True}
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        if response.status != 200:
            raise AssertionError(f"{response.status}: {response.read()}")
        text, prints, event, events = "", set(), None, 0
        for raw in response:
            line = raw.decode().rstrip("\n")
            if line.startswith("id: "):
                event = line[4:]
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise AssertionError(chunk)
            prints.add(chunk["system_fingerprint"])
            text += chunk["choices"][0]["text"]
            events += 1
            if cut_after is not None and events >= cut_after:
                break
        connection.close()
        return text, prints, event

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_MAX)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def end(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stderr.close()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(timeout=SECONDS_MAX)
        self.reader.join()
        return code


class weights_test(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="troupe_weights_")
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name) / "weights"
        for seed in (1, 2, 3):
            model = Path(scratch.name) / f"model{seed}"
            self.expect(run("model", "synth", "tiny", "--seed", str(seed), "--out", str(model)), 0)
            self.assertIn(f"version {seed}", self.expect(self.weights("add", "--model", str(model)), 0))
        self.promote(1)

    def weights(self, command, *words):
        return run("weights", command, *words, "--weights-dir", str(self.folder))

    def expect(self, outcome, code, *in_stderr):
        self.assertEqual(outcome.returncode, code, outcome.stdout + outcome.stderr)
        for part in in_stderr:
            self.assertIn(part, outcome.stderr)
        return outcome.stdout

    def promote(self, version):
        self.assertIn(f"version {version} is in force", self.expect(self.weights("promote", str(version)), 0))

    def serve(self, *flags):
        made = server(self.folder, *flags)
        self.addCleanup(made.end)
        return made

    # The fingerprint of the version in force, and what it answers, asked one after another.
    def answers_of(self, served, **more):
        out = {prompt: served.ask(prompt, **more) for prompt in PROMPTS}
        prints = set().union(*(found[1] for found in out.values()))
        self.assertEqual(len(prints), 1)
        return prints.pop(), {prompt: found[0] for prompt, found in out.items()}

    def test_streams_never_mix_versions_while_these_change(self):
        served = self.serve()
        expected = dict([self.answers_of(served, tokens=120)])
        seen, wrong, stop = set(), [], threading.Event()

        def client(prompt):
            while not stop.is_set():
                text, prints, _ = served.ask(prompt, tokens=120)
                if len(prints) != 1:
                    wrong.append(prints)
                seen.add((prompt, prints.pop(), text))

        clients = [threading.Thread(target=client, args=(prompt,)) for prompt in PROMPTS]
        for each in clients:
            each.start()
        for version in (2, 3):
            self.promote(version)
            served.wait_for(f"weights version {version} answers what is asked")
            time.sleep(0.3)
        since = len(served.lines)
        self.assertIn("version 2 is in force", self.expect(self.weights("rollback", "--reason", "a test"), 0))
        served.wait_for("weights version 2 answers what is asked", since)
        stop.set()
        for each in clients:
            each.join()
        self.assertEqual(wrong, [])
        # After the fact: what versions 2 and 3 say when nothing changes.
        name, answers = self.answers_of(served, tokens=120)
        expected[name] = answers
        since = len(served.lines)
        self.promote(3)
        served.wait_for("weights version 3 answers", since)
        name, answers = self.answers_of(served, tokens=120)
        expected[name] = answers
        self.assertEqual(len(expected), 3)
        self.assertGreaterEqual(len({name for _, name, _ in seen}), 2)
        for prompt, name, text in seen:
            self.assertEqual(text, expected[name][prompt])
        self.assertEqual(served.stop(), 0)

    def test_a_client_that_comes_back_is_answered_by_the_version_it_began_with(self):
        served = self.serve()
        _, before = self.answers_of(served)
        begun, prints, event = served.ask(PROMPTS[0], cut_after=6)
        self.promote(2)
        served.wait_for("weights version 2 answers")
        rest, prints_later, _ = served.ask(PROMPTS[0], headers={"Last-Event-ID": event})
        self.assertEqual(begun + rest, before[PROMPTS[0]])
        self.assertEqual(prints, prints_later)
        _, after = self.answers_of(served)
        self.assertNotEqual(before, after)
        self.assertIn('troupe_weights_streams{version="2",state="serving"}', served.metrics())

    def test_what_is_damaged_is_refused_and_serving_goes_on(self):
        served = self.serve()
        _, before = self.answers_of(served)
        self.promote(2)
        served.wait_for("weights version 2 answers")
        served.stop(signal.SIGKILL)
        file = self.folder / "3" / "model.safetensors"
        whole = file.read_bytes()
        damaged = whole[:-1] + bytes([whole[-1] ^ 1])
        file.write_bytes(damaged)
        self.expect(self.weights("promote", "3"), 1, "3/model.safetensors", "checksum")
        served = self.serve()  # a killed server begins with the promoted version
        name, second = self.answers_of(served)
        self.assertNotEqual(before, second)
        served.process.send_signal(signal.SIGSTOP)  # so that it does not look before the damage is done
        file.write_bytes(whole)
        self.promote(3)
        file.write_bytes(damaged)
        served.process.send_signal(signal.SIGCONT)
        served.wait_for("weights version 3 is not taken: .*3/model.safetensors.*checksum")
        self.assertEqual(self.answers_of(served), (name, second))
        self.assertEqual(served.stop(), 0)
        self.assertIn("version 2 is in force", self.expect(self.weights("rollback"), 0))
        self.assertEqual(self.answers_of(self.serve()), (name, second))

    def test_a_canary_answers_its_share_and_then_everybody(self):
        served = self.serve("--weights-canary", "50", "--weights-canary-answers", "6")
        first, _ = self.answers_of(served)
        self.promote(2)
        served.wait_for("weights version 2 answers 50 of 100 requests")
        found = {}
        for n in range(40):  # the same ones are chosen every time
            found[n] = served.ask(PROMPTS[0], tokens=4, headers={"X-Request-Id": f"canary-{n}"})[1].pop()
        served.wait_for("weights version 2 answers what is asked")
        self.assertEqual(len(set(found.values())), 2)
        self.assertIn(first, found.values())
        self.assertNotEqual(served.ask(PROMPTS[0], tokens=4)[1].pop(), first)

    def test_wrong_words(self):
        none = self.folder.parent / "none"
        self.expect(run("serve", "--weights-dir", str(none)), 3, "no version is promoted")
        self.expect(run("serve", "--weights-dir", str(self.folder), "--model", "x"), 2, "leave --model out")
        self.expect(run("serve", "--weights-dir", str(self.folder), "--persist-kv", str(none)), 2, "--persist-kv")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
