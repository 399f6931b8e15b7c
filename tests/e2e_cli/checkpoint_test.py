#!/usr/bin/env python3
# A run that is killed, interrupted, out of disk or given damaged files ends with the same bits as one that is left
# alone: tests/e2e_cli/checkpoint_test.py PROGRAM [unittest arguments].
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM = ""
SECONDS_MAX = 120
STEPS = 24
EVERY = 4


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}


def run(*words, **more):
    return subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
                          env=environment(), **more)


def tales(seed):
    draw = random.Random(seed)
    words = "the king queen wolf of in house went saw old young red said to and a very happy".split()
    return "<|endoftext|>".join(" ".join(draw.choice(words) for _ in range(draw.randint(20, 90))) for _ in range(80))


class checkpoint_case(unittest.TestCase):
    """A model, texts, and what a run that nobody disturbs ends with."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="troupe-checkpoints-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        (cls.folder / "tales.txt").write_text(tales(1), encoding="utf-8")
        made = run("model", "synth", "tiny", "--out", cls.folder / "base")
        assert made.returncode == 0, made.stderr
        plain = run(*cls.words("undisturbed"))
        assert plain.returncode == 0, plain.stderr
        cls.state = cls.state_in(plain.stdout)
        cls.weights = (cls.folder / "undisturbed" / "model.safetensors").read_bytes()

    @classmethod
    def words(cls, out, *more):
        """A step takes long enough to be hit, and a run not longer than a test may."""
        return ["learn", cls.folder / "tales.txt", "--model", cls.folder / "base", "--steps", STEPS, "--step-tokens", "1500",
                "--context", "64", "--learning-rate", "0.01", "--warmup-steps", "2", "--report-every", "1", "--threads", "1",
                *(["--out", cls.folder / out] if out else []), *more]

    @classmethod
    def keeping(cls, name, *more):
        return cls.words(f"{name}-out", "--checkpoints", cls.folder / name, "--checkpoint-every", EVERY, *more)

    @staticmethod
    def state_in(text):
        return re.search(r"state ([0-9a-f]{16})", text).group(1)

    def expect(self, outcome, code, *said):
        self.assertEqual(outcome.returncode, code, outcome.stderr + outcome.stdout)
        for part in said:
            self.assertIn(part, outcome.stderr + outcome.stdout)
        return outcome.stdout

    def expect_the_same(self, outcome, name):
        self.assertEqual(self.state_in(self.expect(outcome, 0)), self.state)
        self.assertEqual((self.folder / f"{name}-out" / "model.safetensors").read_bytes(), self.weights)

    def until(self, pattern, send, words, **more):
        """Runs until a line of standard error matches, and sends it a signal then. Returns (code, what it said)."""
        process = subprocess.Popen([PROGRAM, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   env=environment(), **more)
        said = ""
        for line in process.stderr:
            said += line
            if re.search(pattern, line):
                process.send_signal(send)
                break
        said += process.stderr.read()
        process.stderr.close()
        return process.wait(SECONDS_MAX), said

    def checkpoints(self, name):
        """Of an undisturbed run with checkpoints, a copy of its folder."""
        kept = self.folder / "kept"
        if not kept.exists():
            self.expect(run(*self.words("", "--checkpoints", kept, "--checkpoint-every", EVERY)), 0)
        return Path(shutil.copytree(kept, self.folder / name))

    def only_in_the_newest(self, store):
        """The chunks that the newest checkpoint does not share with the one before."""
        lines = self.expect(run("checkpoint", "list", "--store", store), 0).splitlines()
        step = re.match(r"step (\d+):", lines[-2]).group(1)
        alone = self.folder / f"{store.name}-older"
        shutil.copytree(store, alone)
        newest = max(path for path in alone.iterdir() if path.name.startswith("manifest-"))
        self.assertIn(step.zfill(20), newest.name)
        newest.unlink()
        self.expect(run("checkpoint", "prune", "--store", alone), 0)
        left = {path.name for path in alone.iterdir()}
        return [path for path in sorted(store.iterdir()) if path.name.startswith("chunk-") and path.name not in left]


class kill_test(checkpoint_case):
    def killed_at(self, name, *patterns):
        for pattern in patterns:
            code, said = self.until(pattern, signal.SIGKILL, self.keeping(name, "--resume"))
            self.assertEqual(code, -signal.SIGKILL, said)
        self.expect_the_same(run(*self.keeping(name, "--resume")), name)

    def test_before_the_first_checkpoint(self):
        self.killed_at("early", r"^step 2 of")

    def test_between_checkpoints_and_again(self):
        self.killed_at("between", r"^step 6 of", r"^step 11 of", r"^step 15 of", r"^step 23 of")

    def test_right_after_a_checkpoint_was_begun(self):
        self.killed_at("writing", r"^step 4 of", r"^step 8 of", r"^step 12 of", r"^step 20 of")

    def test_while_going_on(self):
        self.killed_at("resuming", r"^checkpoint of step 8", r"^going on after step", r"^going on after step", r"^held out before")

    def test_after_the_last_step(self):
        self.killed_at("late", rf"^step {STEPS} of", rf"^checkpoint of step {STEPS}")

    # As many kills as there are until the run comes to its end before one; at least one.
    def killed_now_and_then(self, name, draw, span):
        killed = 0
        for _ in range(8):
            process = subprocess.Popen([PROGRAM, *map(str, self.keeping(name, "--resume"))], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, env=environment())
            try:
                process.wait(draw.uniform(0.02, span))
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(SECONDS_MAX)
                killed += 1
        return killed

    def test_at_any_time(self):
        seed = int.from_bytes(os.urandom(4), "little")
        draw = random.Random(seed)
        begin = time.monotonic()
        self.expect(run(*self.words("", "--checkpoints", self.folder / "any-whole", "--checkpoint-every", EVERY)), 0)
        span = time.monotonic() - begin
        for name in ("any-a", "any-b"):
            for _ in range(20):
                shutil.rmtree(self.folder / name, ignore_errors=True)
                if killed := self.killed_now_and_then(name, draw, span):
                    break
            self.assertGreater(killed, 0, f"seed {seed}, {span} s")
            outcome = run(*self.words("", "--checkpoints", self.folder / name, "--checkpoint-every", EVERY, "--resume"))
            self.assertEqual(self.state_in(self.expect(outcome, 0)), self.state)


class end_test(checkpoint_case):
    def test_an_interrupt_keeps_the_step_at_hand(self):
        code, said = self.until(r"^step 6 of", signal.SIGINT, self.keeping("interrupted"))
        self.assertEqual(code, 128 + signal.SIGINT, said)
        step = re.findall(r"^checkpoint of step (\d+)", said, re.MULTILINE)[-1]
        self.assertGreaterEqual(int(step), 6)
        shutil.rmtree(self.folder / "interrupted-out")  # the model as it was then
        outcome = run(*self.keeping("interrupted", "--resume"))
        self.expect_the_same(outcome, "interrupted")
        self.assertIn(f"going on after step {step}, state", outcome.stderr)

    def test_a_run_that_is_done_is_done(self):
        store = self.checkpoints("done")
        outcome = run(*self.words("", "--checkpoints", store, "--resume"))
        self.assertEqual(self.state_in(self.expect(outcome, 0)), self.state)

    def test_threads_and_pace_may_change(self):
        code, said = self.until(r"^step 10 of", signal.SIGKILL, self.keeping("pace"))
        self.assertEqual(code, -signal.SIGKILL, said)
        self.expect_the_same(run(*self.keeping("pace", "--resume", "--threads", "2", "--checkpoint-every", "3", "--recompute",
                                               "--tokens-at-once", "100", "--report-every", "5", "--keep", "1")), "pace")
        self.assertEqual(len(list((self.folder / "pace").glob("manifest-*"))), 1)


class method_test(checkpoint_case):
    """What holds a model to what it knew has a state of its own, which goes on as well."""

    def goes_on(self, name, *flags):
        plain = run(*self.words(f"{name}-plain", *flags))
        state = self.state_in(self.expect(plain, 0))
        self.assertNotEqual(state, self.state)
        code, said = self.until(r"^checkpoint of step 8", signal.SIGKILL, self.keeping(name, *flags))
        self.assertEqual(code, -signal.SIGKILL, said)
        outcome = run(*self.keeping(name, "--resume", *flags))
        self.assertEqual(self.state_in(self.expect(outcome, 0, "going on after step")), state)
        exported = self.folder / f"{name}-exported"
        self.expect(run("checkpoint", "export", "--store", self.folder / name, "--out", exported), 0)
        self.assertEqual((exported / "model.safetensors").read_bytes(),
                         (self.folder / f"{name}-plain" / "model.safetensors").read_bytes())

    def test_anchored_weights(self):
        self.goes_on("anchored", "--ewc", "100")

    def test_a_teacher(self):
        self.goes_on("taught", "--teacher", "start", "--distil-hidden", "0.1")

    def test_frozen_weights(self):
        self.goes_on("frozen", "--freeze", "attention,router")

    def test_adapters(self):
        self.goes_on("adapted", "--lora-rank", "4")

    def test_a_method_is_not_changed_on_the_way(self):
        store = self.checkpoints("method")
        self.expect(run(*self.words("", "--checkpoints", store, "--resume", "--ewc", "100")), 2, "--resume: ewc was 0 and is 100")


class disk_test(checkpoint_case):
    def test_files_that_may_not_grow_lose_no_checkpoint(self):
        code, said = self.until(r"^checkpoint of step 8", signal.SIGKILL, self.keeping("limited"))
        self.assertEqual(code, -signal.SIGKILL, said)
        before = run("checkpoint", "list", "--store", self.folder / "limited").stdout
        small = 100 << 10
        outcome = run(*self.words("", "--checkpoints", self.folder / "limited", "--checkpoint-every", EVERY, "--resume"),
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (small, small)))
        self.expect(outcome, 1, "warning: ", "File too large", "checkpoint of step 12", "the earlier checkpoints are as they were")
        self.assertEqual(run("checkpoint", "list", "--store", self.folder / "limited").stdout, before)
        self.expect(run("checkpoint", "verify", "--store", self.folder / "limited"), 0, ", 0 unused")
        self.expect_the_same(run(*self.keeping("limited", "--resume")), "limited")

    def test_a_full_disk_loses_no_checkpoint(self):
        store = self.folder / "full"
        store.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", store], capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("cannot mount a small file system here")
        self.addCleanup(subprocess.run, ["umount", store], check=True)
        # Two checkpoints fit, and what fills the disk is not ours.
        (store / "somebodys").write_bytes(bytes(700_000))
        outcome = run(*self.keeping("full", "--keep", "3"))
        self.expect(outcome, 1, "No space left on device", "the earlier checkpoints are as they were")
        listed = self.expect(run("checkpoint", "verify", "--store", store), 0, "2 of 2 checkpoints intact")
        self.assertIn(", 0 unused", listed)
        (store / "somebodys").unlink()
        shutil.rmtree(self.folder / "full-out")
        self.expect_the_same(run(*self.keeping("full", "--keep", "1", "--resume")), "full")


class damage_test(checkpoint_case):
    def test_a_damaged_chunk_is_named_and_an_older_checkpoint_used(self):
        store = self.checkpoints("rotten")
        chunk = self.only_in_the_newest(store)[0]
        content = bytearray(chunk.read_bytes())
        content[len(content) // 2] ^= 4
        chunk.write_bytes(content)
        self.expect(run("checkpoint", "verify", "--store", store), 1, f"damaged: {chunk.name}: its bytes have changed",
                    "cannot be restored: manifest-00000000000000000024-", "2 of 3 checkpoints intact")
        outcome = run(*self.words("rotten-out", "--checkpoints", store, "--checkpoint-every", EVERY, "--resume"))
        self.expect_the_same(outcome, "rotten")
        self.assertRegex(outcome.stderr, rf"passed over: manifest-0+24-[0-9a-f]+: {chunk.name}: its bytes have changed")
        self.assertIn("going on after step 20", outcome.stderr)
        self.expect(run("checkpoint", "verify", "--store", store), 0)  # written anew

    def test_a_damaged_manifest_is_named_and_an_older_checkpoint_used(self):
        store = self.checkpoints("torn")
        manifest = max(store.glob("manifest-*"))
        manifest.write_bytes(manifest.read_bytes()[:-100])
        self.assertIn("step 24: damaged: ", run("checkpoint", "list", "--store", store).stdout)
        outcome = run(*self.words("torn-out", "--checkpoints", store, "--checkpoint-every", EVERY, "--resume"))
        self.expect_the_same(outcome, "torn")
        self.assertIn(f"passed over: {manifest.name}: the checksum does not match", outcome.stderr)

    def test_without_an_intact_checkpoint_nothing_is_begun(self):
        store = self.checkpoints("ruined")
        for manifest in store.glob("manifest-*"):
            manifest.write_bytes(b"")
        self.expect(run(*self.words("", "--checkpoints", store, "--resume")), 1, "none of 3 checkpoints is intact")
        self.expect(run("checkpoint", "export", "--store", store, "--out", self.folder / "x"), 1, "is cut off")


class command_test(checkpoint_case):
    def test_an_export_is_the_model_of_that_step(self):
        store = self.checkpoints("exported")
        self.expect(run("checkpoint", "export", "--store", store, "--out", self.folder / "model"), 0, "the model of step 24")
        self.assertEqual((self.folder / "model" / "model.safetensors").read_bytes(), self.weights)
        for name in ("config.json", "tokenizer.json"):
            self.assertTrue((self.folder / "model" / name).exists(), name)
        self.expect(run("generate", "the", "--model", self.folder / "model", "--max-tokens", "4"), 0)
        self.expect(run("checkpoint", "export", "--store", store, "--step", "20", "--weights", "bf16", "--out",
                        self.folder / "half"), 0, "the model of step 20")
        self.assertLess((self.folder / "half" / "model.safetensors").stat().st_size, len(self.weights) * 0.6)

    def test_a_checkpoint_goes_to_another_folder_and_on_from_there(self):
        store = self.checkpoints("origin")
        there = self.folder / "copied"
        self.expect(run("checkpoint", "restore", "--store", store, "--step", "16", "--to", there), 0, "step 16, state ")
        outcome = run(*self.words("copied-out", "--checkpoints", there, "--checkpoint-every", EVERY, "--resume"))
        self.expect_the_same(outcome, "copied")
        self.assertIn("going on after step 16", outcome.stderr)
        self.expect(run("checkpoint", "restore", "--store", store, "--step", "16", "--to", there), 1, "has a checkpoint of step")

    def test_restore_in_place_goes_back(self):
        store = self.checkpoints("back")
        self.expect(run("checkpoint", "restore", "--store", store, "--step", "16"), 0, "goes on from step 16", "2 others")
        self.assertEqual(len(list(store.glob("manifest-*"))), 1)
        outcome = run(*self.words("back-out", "--checkpoints", store, "--resume"))
        self.expect_the_same(outcome, "back")

    def test_prune_keeps_what_it_is_told_to(self):
        store = self.checkpoints("pruned")
        self.expect(run("checkpoint", "prune", "--store", store, "--keep", "1", "--keep-every", "16"), 0, "1 checkpoints, ")
        self.assertEqual([int(path.name[9:29]) for path in sorted(store.glob("manifest-*"))], [16, 24])
        self.expect(run("checkpoint", "verify", "--store", store), 0, "2 of 2 checkpoints intact", ", 0 unused")

    def test_the_best_is_kept_where_it_was_measured(self):
        store = self.folder / "best"
        best = run(*self.words("", "--checkpoints", store, "--checkpoint-every", "2", "--keep", "1", "--keep-best"))
        self.assertEqual(self.state_in(self.expect(best, 0)), self.state)  # measuring changes nothing
        losses = [(float(loss), -int(step)) for step, loss in re.findall(r"step (\d+): .*held-out loss ([0-9.]+)", self.expect(
            run("checkpoint", "list", "--store", store), 0))]
        self.assertEqual(losses[-1][1], -STEPS)
        self.assertLessEqual(len(losses), 2)
        self.assertIn(min(losses), losses)
        self.expect(run(*self.words("", "--checkpoints", self.folder / "b", "--keep-best", "--hold-out", "0")), 2,
                    "--hold-out holds some out")

    def test_another_run_does_not_go_on_from_it(self):
        store = self.checkpoints("settings")
        for flag, value, was, now in (("--seed", "7", "1", "7"), ("--learning-rate", "0.02", "0.01", "0.02"),
                                      ("--steps", "30", "24", "30"), ("--clip", "2", "1", "2"),
                                      ("--decay", "linear", '"cosine"', '"linear"')):
            self.expect(run(*self.words("", "--checkpoints", store, "--resume", flag, value)), 2,
                        f"--resume: {flag[2:]} was {was} and is {now}")
        other = self.folder / "other.txt"
        other.write_text(tales(2), encoding="utf-8")
        words = [other if str(word).endswith("tales.txt") else word for word in self.words("", "--checkpoints", store, "--resume")]
        self.expect(run(*words), 2, "--resume: data was ")
        config = self.folder / "changed"
        shutil.copytree(self.folder / "base", config)
        text = (config / "config.json").read_text(encoding="utf-8")
        (config / "config.json").write_text(text.replace("}", ', "note": 1}') if "note" not in text else text, encoding="utf-8")
        self.expect(run(*self.words("", "--checkpoints", store, "--resume", "--model", config)), 2, "another model: config.json")
        self.expect(run(*self.words("", "--checkpoints", store)), 2, "holds a checkpoint of step 24; give --resume")

    def test_wrong_words_are_told_what_is_wrong(self):
        store = self.checkpoints("asked")
        self.expect(run("checkpoint", "list"), 2, "--store DIR")
        self.expect(run("checkpoint", "list", "--store", self.folder / "nowhere"), 1, "nowhere: there is no such folder")
        self.expect(run("checkpoint", "verify", "--store", self.folder / "tales.txt"), 1, "there is no such folder")
        self.expect(run("checkpoint", "export", "--store", store), 2, "--out DIR")
        self.expect(run("checkpoint", "export", "--store", store, "--step", "5", "--out", self.folder / "no"), 1,
                    "has no checkpoint of step 5; there are those of steps 16 20 24")
        self.expect(run("checkpoint", "export", "--store", store, "--out", self.folder / "base"), 1, "is not empty")
        self.expect(run("checkpoint", "prune", "--store", store, "--keep", "0"), 2, "--keep")
        self.expect(run("checkpoint", "restore", "--store", self.folder / "base"), 1, "there is no checkpoint")
        self.expect(run(*self.words("x", "--resume")), 2, "--resume needs --checkpoints DIR")
        self.expect(run(*self.words("")), 2, "or --checkpoints DIR")
        empty = self.folder / "empty"
        empty.mkdir()
        self.expect(run("checkpoint", "list", "--store", empty), 0, "0 checkpoints")

    def test_the_folder_of_a_run_can_be_looked_at_but_not_changed(self):
        store = self.folder / "busy"
        process = subprocess.Popen([PROGRAM, *map(str, self.keeping("busy"))], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True, env=environment())
        for line in process.stderr:
            if line.startswith("checkpoint of step 4"):
                break
        process.send_signal(signal.SIGSTOP)
        try:
            self.expect(run("checkpoint", "list", "--store", store), 0, "step 4: state ")
            self.expect(run("checkpoint", "prune", "--store", store), 1, "another process uses this folder")
            self.expect(run(*self.words("", "--checkpoints", store, "--resume")), 1, "another process uses this folder")
        finally:
            process.kill()
            process.stderr.close()
            process.wait(SECONDS_MAX)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: checkpoint_test.py PROGRAM [unittest arguments]")
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=1)
