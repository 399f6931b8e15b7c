#!/usr/bin/env python3
# Runs the built program as people and scripts do: tests/e2e_cli/cli_test.py PROGRAM [unittest arguments].
import http.client
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tales_gguf

ROOT = Path(__file__).resolve().parents[2]
TALES = ROOT / "models" / "tales"
GOLDEN = ROOT / "tests" / "golden" / "models"
PROGRAM = ""
SECONDS_MAX = 120
COMMANDS = ["serve", "node", "cluster up", "cluster status", "cluster kill", "cluster drain", "cluster restart", "cluster add",
            "cluster down", "top", "generate", "chat", "model inspect", "model synth", "tokenize", "ingest", "learn", "learn eval", "checkpoint list",
            "checkpoint verify", "checkpoint export", "checkpoint restore", "checkpoint prune", "weights list", "weights add", "weights promote", "weights rollback", "weights prune", "bench", "bench serve",
            "simulate run", "simulate replay",
            "simulate shrink", "simulate expand", "simulate list", "simulate mutants", "version"]
PROMPT = "Once upon a time"
# Many continuations at once, so that a signal always finds it at work.
LONG = ["generate", PROMPT, "--max-tokens", "900", "--ignore-eos", "--n", "48", "--seed", "1"]


def environment(**more):
    """Ours without settings of the program, but with the model."""
    out = {name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}
    out["TROUPE_MODEL"] = str(TALES)
    out.update(more)
    return {name: value for name, value in out.items() if value is not None}


def run(*words, stdin=b"", **variables):
    return subprocess.run([PROGRAM, *words], input=stdin, capture_output=True, timeout=SECONDS_MAX,
                          env=environment(**variables), check=False)


def start(*words, **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    more.setdefault("stdout", subprocess.PIPE)
    more.setdefault("stderr", subprocess.PIPE)
    return subprocess.Popen([PROGRAM, *words], env=environment(), **more)


class cli_case(unittest.TestCase):
    def expect(self, outcome, code, *in_stderr):
        said = outcome.stderr.decode(errors="replace")
        self.assertEqual(outcome.returncode, code, said)
        for part in in_stderr:
            self.assertIn(part, said)
        return outcome.stdout

    def scratch(self):
        folder = tempfile.TemporaryDirectory(prefix="troupe_cli_")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)


class help_test(cli_case):
    def test_every_command_describes_itself(self):
        for command in COMMANDS:
            words = command.split()
            text = self.expect(run(*words, "--help"), 0).decode()
            self.assertIn(f"usage: troupe {command}", text)
            self.assertIn("--dump-config", text)
            self.assertEqual(self.expect(run("help", *words), 0).decode(), text)
        listing = self.expect(run("--help"), 0).decode()
        for command in COMMANDS:
            self.assertIn(command, listing)

    def test_without_a_command_it_says_how_it_is_used(self):
        outcome = run()
        self.assertEqual(self.expect(outcome, 2, "usage: troupe COMMAND"), b"")

    def test_the_version_is_one_line(self):
        self.assertRegex(self.expect(run("version"), 0).decode(), r"^troupe \d+\.\d+\.\d+\n$")
        self.assertEqual(self.expect(run("--version"), 0), self.expect(run("version"), 0))
        self.assertIn(b"gpu", self.expect(run("version", "--devices"), 0))


class settings_test(cli_case):
    def test_wrong_words_are_told_the_right_one(self):
        self.expect(run("serve", "--prot", "1"), 2, "--prot", "did you mean --port?")
        self.expect(run("sevre"), 2, "did you mean serve?")
        self.expect(run("generate", "x", "--temprature", "1"), 2, "did you mean --temperature?")
        self.expect(run("serve", TROUPE_PROT="1"), 2, "TROUPE_PROT", "did you mean TROUPE_PORT?")

    def test_values_out_of_range_are_told_the_range(self):
        self.expect(run("generate", "x", "--top-p", "2"), 2, "command line: --top-p", "0 to 1")
        self.expect(run("serve", TROUPE_PAGE_TOKENS="9999"), 2, "environment: TROUPE_PAGE_TOKENS", "8 to 64")
        self.expect(run("generate", "x", "--max-model-len", "1000000"), 2, "--max-model-len", "1024")
        self.expect(run("generate", "x", "--expert-shards", "1000"), 2, "16")

    def test_the_configuration_file_is_checked_with_its_place(self):
        file = self.scratch() / "troupe.toml"
        file.write_text("[generate]\nseed = 1\ntemprature = 0\n")
        self.expect(run("generate", "x", "--config", str(file)), 2, f"{file}:3:1", "did you mean temperature?")
        self.expect(run("generate", "x", TROUPE_CONFIG=str(file)), 2, f"{file}:3:1")
        self.expect(run("generate", "x", "--config", str(file) + ".missing"), 2, ".missing")

    def test_flags_beat_the_environment_which_beats_the_file(self):
        file = self.scratch() / "troupe.toml"
        file.write_text("port = 1\ndrain-timeout = 2\nmax-running = 3\n")
        dump = self.expect(run("serve", "--config", str(file), "--port", "7", "--dump-config", TROUPE_PORT="5",
                               TROUPE_DRAIN_TIMEOUT="6"), 0).decode()
        self.assertIn("port = 7  # command line\n", dump)
        self.assertIn("drain-timeout = 6  # environment\n", dump)
        self.assertIn(f"max-running = 3  # {file}:3:1\n", dump)

    def test_a_dump_can_be_read_back(self):
        file = self.scratch() / "troupe.toml"
        file.write_bytes(self.expect(run("generate", "--dump-config", "--stop", 'a"b', "--kv-memory", "3M"), 0))
        again = self.expect(run("generate", "--config", str(file), "--dump-config"), 0).decode()
        self.assertIn('stop = ["a\\"b"]', again)
        self.assertIn('kv-memory = "3M"', again)

    def test_keys_are_never_shown(self):
        outcome = run("serve", "--api-key", "sesame", "--dump-config", TROUPE_API_KEY="tahini")
        dump = self.expect(outcome, 0) + outcome.stderr
        self.assertNotIn(b"sesame", dump)
        self.assertNotIn(b"tahini", dump)
        self.assertIn(b"***", dump)


class model_test(cli_case):
    def copy(self):
        folder = self.scratch() / "model"
        shutil.copytree(TALES, folder)
        return folder

    def test_a_folder_that_is_not_there(self):
        for command in (["generate", "x"], ["serve"], ["tokenize", "x"], ["model", "inspect"], ["bench"]):
            outcome = run(*command, "--model", "/nowhere/at/all")
            self.assertEqual(self.expect(outcome, 3, "/nowhere/at/all"), b"")

    def test_truncated_weights(self):
        folder = self.copy()
        weights = folder / "model.safetensors"
        for size in (weights.stat().st_size - 1, 100, 7, 0):
            os.truncate(weights, size)
            self.assertEqual(self.expect(run("generate", "x", "--model", str(folder)), 3, str(weights)), b"")

    def test_what_is_missing_is_named(self):
        folder = self.copy()
        (folder / "tokenizer.json").unlink()
        self.expect(run("generate", "x", "--model", str(folder)), 3, f"{folder}/tokenizer.json: is missing")
        self.expect(run("generate", "x", "--model", str(GOLDEN / "mixtral_top3")), 3, "mixtral_top3/tokenizer.json")
        self.assertIn(b"tokenizer.json is missing", self.expect(run("model", "inspect", str(GOLDEN / "mixtral_top3")), 0))

    def test_a_family_nobody_knows(self):
        folder = self.copy()
        config = json.loads((folder / "config.json").read_text())
        config["model_type"] = "perceptron"
        (folder / "config.json").write_text(json.dumps(config))
        self.expect(run("generate", "x", "--model", str(folder)), 3, "config.json", "perceptron")

    def test_inspecting_reads_headers_only(self):
        facts = json.loads(self.expect(run("model", "inspect", str(TALES), "--json"), 0))
        self.assertEqual(facts["family"], "deepseek_v3")
        self.assertEqual(facts["experts"]["count"], 16)
        self.assertLess(facts["parameters_active"], facts["parameters"])
        table = self.expect(run("model", "inspect"), 0).decode()
        self.assertIn("latent (MLA)", table)

    def test_the_built_in_model_is_found_where_it_is_installed(self):
        prefix = self.scratch()
        (prefix / "bin").mkdir()
        shutil.copy(PROGRAM, prefix / "bin" / "troupe")
        failed = subprocess.run([prefix / "bin" / "troupe", "tokenize", "x"], env=environment(TROUPE_MODEL=None),
                                capture_output=True, timeout=SECONDS_MAX, check=False)
        self.expect(failed, 3, "share/troupe/models/tales", "--model")
        (prefix / "share" / "troupe" / "models").mkdir(parents=True)
        (prefix / "share" / "troupe" / "models" / "tales").symlink_to(TALES)
        found = subprocess.run([prefix / "bin" / "troupe", "tokenize", "Once"], env=environment(TROUPE_MODEL=None),
                               capture_output=True, timeout=SECONDS_MAX, check=False)
        self.assertIn(b"Once", self.expect(found, 0))


class synth_test(cli_case):
    def contents(self, folder):
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def test_one_seed_is_one_checkpoint_and_it_runs(self):
        folder = self.scratch()
        said = self.expect(run("model", "synth", "tiny", "--out", str(folder / "a")), 0)
        self.assertIn(b"parameters", said)
        self.expect(run("model", "synth", "tiny", "--out", str(folder / "b"), "--seed", "1"), 0)
        self.expect(run("model", "synth", "tiny", "--out", str(folder / "c"), "--seed", "2"), 0)
        one, same, other = (self.contents(folder / name) for name in "abc")
        self.assertEqual(one, same)
        self.assertEqual(set(one), set(other))
        self.assertNotEqual(one["model.safetensors"], other["model.safetensors"])
        told = [self.expect(run("generate", "hello", "--model", str(folder / name), "--max-tokens", "8", "--seed", "3"), 0)
                for name in "ab"]
        self.assertEqual(told[0], told[1])

    def test_pieces_are_the_same_model(self):
        folder = self.scratch()
        self.expect(run("model", "synth", "tiny", "--out", str(folder / "whole")), 0)
        self.expect(run("model", "synth", "tiny", "--out", str(folder / "cut"), "--shard-size", "64KiB"), 0)
        self.assertGreater(len(list((folder / "cut").glob("*.safetensors"))), 1)
        told = [self.expect(run("generate", "hello", "--model", str(folder / name), "--max-tokens", "8", "--seed", "3"), 0)
                for name in ("whole", "cut")]
        self.assertEqual(told[0], told[1])

    def test_nobody_s_model_is_overwritten(self):
        folder = self.scratch()
        (folder / "kept").write_text("mine")
        self.expect(run("model", "synth", "tiny", "--out", str(folder)), 1, "is not empty")
        self.assertEqual(self.contents(folder), {"kept": b"mine"})
        self.expect(run("model", "synth", "tiny", "--out", str(folder / "kept")), 1, "is a file")

    def test_wrong_words(self):
        self.expect(run("model", "synth"), 2, "takes one shape", "olmoe-1b-7b")
        self.expect(run("model", "synth", "huge"), 2, "'huge' is no shape", "granite-1b-a400m")


class ingest_test(cli_case):
    """Files into a log of documents."""

    def ingest(self, folder, *flags):
        return self.expect(run("ingest", *flags, "--into", str(folder / "data")), 0).decode()

    def test_a_second_run_takes_what_was_added(self):
        folder = self.scratch()
        lines = folder / "a.jsonl"
        lines.write_text('{"text": "one"}\n{"text": "two"}\nnonsense\n')
        (folder / "texts").mkdir()
        (folder / "texts" / "b.txt").write_text("three")
        said = self.ingest(folder, str(lines), str(folder / "texts"))
        self.assertEqual(said, "4 documents taken in, 1 of them unreadable; the log ends at 4\n")
        with lines.open("a") as more:
            more.write('{"text": "four"}\n')
        said = self.ingest(folder, str(lines), str(folder / "texts"))
        self.assertEqual(said, "1 documents taken in, 0 of them unreadable; the log ends at 5\n")

    def test_it_follows_until_a_signal(self):
        folder = self.scratch()
        (folder / "in").mkdir()
        process = start("ingest", str(folder / "in"), "--into", str(folder / "data"), "--follow")
        (folder / "in" / "a.jsonl").write_text('{"text": "one"}\n')
        self.assertIn(b"1 documents so far", process.stderr.readline())
        taken = run("ingest", str(folder / "in"), "--into", str(folder / "data"))
        self.expect(taken, 1, "another process uses this folder")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        self.assertIn(b"1 documents taken in", out)

    def test_it_says_what_it_needs(self):
        self.expect(run("ingest", "--into", "/tmp/x"), 2, "needs a file")
        self.expect(run("ingest", "x"), 2, "needs --into")


class learn_test(cli_case):
    """Trains a tiny random model on a few sentences: enough to see the loss fall and the bits stay."""

    FLAGS = ["--steps", "12", "--step-tokens", "200", "--context", "64", "--learning-rate", "0.01", "--warmup-steps", "2",
             "--hold-out", "4", "--report-every", "4"]

    def prepared(self):
        folder = self.scratch()
        self.expect(run("model", "synth", "tiny", "--out", str(folder / "base")), 0)
        sentences = [f"The king had {n} sons, and the youngest went into the forest." for n in range(12)]
        (folder / "tales.txt").write_text("\n<|endoftext|>\n".join(sentences))
        (folder / "tales.jsonl").write_text("".join(json.dumps({"text": s, "n": 1}) + "\n" for s in sentences))
        return folder

    def learn(self, folder, out, *flags, data="tales.txt"):
        return run("learn", str(folder / data), "--model", str(folder / "base"), "--out", str(folder / out), *self.FLAGS,
                   *flags)

    def weights(self, folder, out):
        return (folder / out / "model.safetensors").read_bytes()

    def bits(self, outcome):
        found = [float(b) for b in re.findall(r"held out.* ([0-9.]+) bits per byte", outcome.stderr.decode())]
        self.assertEqual(len(found), 2)
        return found

    def state(self, outcome):
        found = re.search(rb", state ([0-9a-f]{16})$", self.expect(outcome, 0).rstrip())
        self.assertIsNotNone(found)
        return found[1]

    def test_what_was_learnt_is_a_model_that_knows_more(self):
        folder = self.prepared()
        outcome = self.learn(folder, "learnt")
        self.assertIn(b"12 steps", self.expect(outcome, 0, "step 12 of 12: loss", "tokens/s"))
        before, after = self.bits(outcome)
        self.assertGreater(before, 6)  # of a byte that is one of 256 at random
        self.assertLess(after, before / 2)
        names = {path.name for path in (folder / "learnt").iterdir()}
        self.assertLessEqual({"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}, names)
        self.expect(run("generate", "The king", "--model", str(folder / "learnt"), "--max-tokens", "8"), 0)
        again = self.learn(folder, "more", "--model", str(folder / "learnt"))
        self.assertAlmostEqual(self.bits(again)[0], after, places=3)

    def test_threads_pieces_and_recomputation_change_no_bit(self):
        folder = self.prepared()
        states = [self.state(self.learn(folder, "usual", "--threads", "1")),
                  self.state(self.learn(folder, "other", "--threads", "2", "--tokens-at-once", "70", "--recompute"))]
        self.assertEqual(states[0], states[1])
        self.assertNotEqual(states[0], self.state(self.learn(folder, "less", "--steps", "11")))
        self.expect(self.learn(folder, "jsonl", data="tales.jsonl"), 0)
        self.expect(self.learn(folder, "seed", "--seed", "2"), 0)
        self.assertEqual(self.weights(folder, "usual"), self.weights(folder, "other"))
        self.assertEqual(self.weights(folder, "usual"), self.weights(folder, "jsonl"))
        self.assertNotEqual(self.weights(folder, "usual"), self.weights(folder, "seed"))

    def test_bf16_is_half_as_large(self):
        folder = self.prepared()
        self.expect(self.learn(folder, "wide", "--steps", "0"), 0)
        self.expect(self.learn(folder, "narrow", "--steps", "0", "--weights", "bf16"), 0)
        self.assertLess(len(self.weights(folder, "narrow")), 0.6 * len(self.weights(folder, "wide")))
        texts = [self.expect(run("generate", "The king", "--model", str(folder / name), "--seed", "4", "--max-tokens", "40"), 0)
                 for name in ("base", "narrow", "wide")]  # the base is of bf16, so nothing is lost
        self.assertEqual(texts[0], texts[1])
        self.assertEqual(texts[0], texts[2])

    def from_log(self, folder, out, *flags, model="base"):
        return run("learn", "--ingest", str(folder / "data"), "--model", str(folder / model), "--out", str(folder / out),
                   *self.FLAGS, "--steps", "100", *flags)

    def add_to_log(self, folder, name, documents):
        (folder / name).write_text("".join(json.dumps(each) + "\n" for each in documents))
        self.expect(run("ingest", str(folder / name), "--into", str(folder / "data")), 0)

    def test_a_log_is_learnt_from_once_over_several_runs(self):
        folder = self.prepared()
        tales = [{"text": f"The king had {n} sons, and the youngest of the {n} went into the forest.", "id": n} for n in range(40)]
        self.add_to_log(folder, "a.jsonl", tales[:20] + [{"txt": 1}, tales[3]])
        first = self.from_log(folder, "first")
        self.assertIn(b"first: ", self.expect(first, 0, "the log from document 0 on", "22 documents looked at: 20 accepted",
                                              "2 set aside (1 duplicate, 1 malformed)"))
        self.assertEqual(self.state(first), self.state(self.from_log(folder, "first_again")))
        aside = [json.loads(line) for line in (folder / "data" / "learner" / "quarantine-1-1.jsonl").read_text().splitlines()]
        self.assertEqual([(each["offset"], each["reason"]) for each in aside], [(20, "malformed"), (21, "duplicate")])
        self.assertEqual(aside[0]["text"], '{"txt": 1}')
        self.add_to_log(folder, "b.jsonl", tales[18:])  # two of them have been learnt from
        second = self.from_log(folder, "second", model="first")
        self.expect(second, 0, "the log from document 22 on", "44 documents looked at: 40 accepted", "3 duplicate")
        third = self.from_log(folder, "third", model="second")
        self.assertIn(b"third: 0 steps", self.expect(third, 0, "the log from document 44 on"))
        self.expect(self.from_log(folder, "fourth", "--data-window", "3", model="first"), 1, "--restart-data", "window 64", "window 3")
        self.expect(self.from_log(folder, "fifth", "--data-window", "3", "--restart-data", model="first"), 0, "from document 0")

    def test_a_run_from_a_log_that_is_killed_goes_on_to_the_same_bits(self):
        folder = self.prepared()
        self.add_to_log(folder, "a.jsonl", [{"text": f"The king had {n} sons and {n * n} daughters; the eldest of them was {n + 20}."}
                                            for n in range(200)] + [{"txt": 1}])
        flags = ["--replay", "0.3", "--checkpoint-every", "3", "--report-every", "1", "--curriculum", "length"]
        whole = self.from_log(folder, "whole", *flags, "--checkpoints", str(folder / "undisturbed"))
        kept = ["--checkpoints", str(folder / "kept"), *flags]
        for kill_at in (5, 11, 17):
            process = start("learn", "--ingest", str(folder / "data"), "--model", str(folder / "base"), *self.FLAGS, "--steps", "100",
                            *kept, "--resume")
            while f"step {kill_at} of".encode() not in process.stderr.readline():
                self.assertIsNone(process.poll())
            process.kill()
            process.communicate(timeout=SECONDS_MAX)
        resumed = self.from_log(folder, "resumed", *kept, "--resume")
        self.assertEqual(self.state(whole), self.state(resumed))
        self.assertEqual(self.weights(folder, "whole"), self.weights(folder, "resumed"))
        self.assertIn(b"going on after step", resumed.stderr)
        self.expect(run("checkpoint", "export", "--store", str(folder / "kept"), "--out", str(folder / "exported")), 0)
        for name in ("data.state", "model.safetensors"):
            self.assertEqual((folder / "whole" / name).read_bytes(), (folder / "exported" / name).read_bytes(), name)

    def test_a_log_is_followed_until_a_signal(self):
        folder = self.prepared()
        self.add_to_log(folder, "a.jsonl", [{"text": "The king went into the forest."}])
        process = start("learn", "--ingest", str(folder / "data"), "--model", str(folder / "base"), "--out", str(folder / "out"),
                        *self.FLAGS, "--steps", "100000", "--report-every", "1", "--follow", "--data-window", "4", "--replay", "0.5")
        self.assertIn(b"the log from document 0 on", process.stderr.readline())
        self.add_to_log(folder, "b.jsonl", [{"text": f"The queen had {n} horses and {n} crowns of gold and of silver."} for n in range(40)])
        while b"step 3 of" not in process.stderr.readline():
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS_MAX)
        self.assertEqual(process.returncode, 130, err)
        self.assertRegex(out, rb"out: [0-9]+ steps")
        self.assertTrue((folder / "data" / "learner" / "committed").exists())

    def test_a_log_needs_to_be_there_and_its_settings_to_make_sense(self):
        folder = self.prepared()
        self.expect(self.from_log(folder, "x"), 1, "troupe ingest and troupe serve --ingest make a log")
        self.add_to_log(folder, "a.jsonl", [{"text": "The king"}])
        self.expect(self.from_log(folder, "x", "--domain-weights", "a=b"), 2, "expected NAME=WEIGHT")
        self.expect(self.from_log(folder, "x", "--blocklist", str(folder / "none")), 2, "--blocklist")
        self.expect(run("learn", str(folder / "tales.txt"), "--ingest", str(folder / "data"), "--out", "x"), 2, "or a log")

    def test_ctrl_c_writes_what_was_learnt(self):
        folder = self.prepared()
        process = start("learn", str(folder / "tales.txt"), "--model", str(folder / "base"), "--out", str(folder / "cut"),
                        *self.FLAGS, "--steps", "100000", "--report-every", "1")
        while b"step 2 of" not in process.stderr.readline():
            self.assertIsNone(process.poll())
        other = self.learn(folder, "cut")  # the folder is taken
        self.expect(other, 1, "cut")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS_MAX)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn(b" steps", out)
        self.expect(run("generate", "The king", "--model", str(folder / "cut"), "--max-tokens", "8"), 0)

    def test_publishes_what_passes_its_gate(self):
        folder = self.prepared()
        sentences = (folder / "tales.txt").read_text().split("\n<|endoftext|>\n")
        (folder / "held.txt").write_text("\n<|endoftext|>\n".join(sentences[3::4]))
        (folder / "sums.txt").write_text("42 is 6 times 7; 56 is 7 times 8. " * 4)
        versions = ["--weights-dir", str(folder / "versions")]
        self.expect(run("weights", "add", "--model", str(folder / "base"), *versions), 0)
        self.expect(run("weights", "promote", "1", *versions), 0)
        flags = ["--publish", str(folder / "versions"), "--promote", "--gate", f"tales={folder / 'held.txt'}"]
        learn = ["learn", str(folder / "tales.txt"), "--model", str(folder / "base"), *self.FLAGS, *flags]
        outcome = run(*learn, "--publish-every", "6")
        self.expect(outcome, 0, "version 2 of step 6, tales ", "version 3 of step 12, tales ")
        self.assertIn("state", outcome.stdout.decode())
        listed = self.expect(run("weights", "list", *versions), 0).decode()
        self.assertIn("version 3 is in force", listed)
        # What unlearns tales is published and not promoted.
        worse = run("learn", str(folder / "sums.txt"), "--model", str(folder / "versions" / "3"), *self.FLAGS, *flags, "--hold-out", "0")
        self.expect(worse, 0, "version 4 of step 12, tales ", "refused: domain tales: ")
        self.assertIn("version 3 is in force", self.expect(run("weights", "list", *versions), 0).decode())
        self.expect(run("weights", "promote", "4", *versions), 1, "domain tales")
        self.expect(run("generate", "The king", "--model", str(folder / "versions" / "3"), "--max-tokens", "4"), 0)
        self.expect(run(*learn, "--gate", "tales"), 2, "--gate tales: give a name and a file")
        self.expect(run(*learn, "--gate", f"x={folder / 'none.txt'}"), 1, "none.txt")

    def test_eval_measures_what_was_kept_and_what_was_forgotten(self):
        folder = self.prepared()
        sentences = (folder / "tales.txt").read_text().split("\n<|endoftext|>\n")
        (folder / "held.txt").write_text("\n<|endoftext|>\n".join(sentences[3::4]))  # as --hold-out 4 does
        (folder / "other.jsonl").write_text(json.dumps({"text": "42 is 6 times 7; 56 is 7 times 8."}) + "\n")
        before, after = self.bits(self.learn(folder, "learnt"))
        self.expect(self.learn(folder, "then", "--model", str(folder / "learnt"), "--hold-out", "0", data="other.jsonl"), 0)
        models = [str(folder / name) for name in ("base", "learnt", "then")]
        domains = ["--held-out", f"tales={folder / 'held.txt'}", "--held-out", f"sums={folder / 'other.jsonl'}"]
        flags = [*domains, "--context", "64", "--quantize", "f32"]
        found = json.loads(self.expect(run("learn", "eval", *models, *flags, "--json", "--joint", models[1]), 0))
        losses = found["losses"]
        self.assertEqual(found["domains"], ["tales", "sums"])
        self.assertAlmostEqual(losses[0][0], before, places=3)
        self.assertAlmostEqual(losses[1][0], after, places=3)
        self.assertLess(losses[2][1], losses[1][1])
        self.assertAlmostEqual(found["backward_transfer"], losses[1][0] - losses[2][0])
        self.assertAlmostEqual(found["retention"], 2 ** found["backward_transfer"])
        self.assertAlmostEqual(found["forward_transfer"], losses[0][1] - losses[1][1])
        self.assertAlmostEqual(found["regret"], found["average"] - sum(losses[1]) / 2)
        table = self.expect(run("learn", "eval", *models, *flags), 0).decode()
        self.assertRegex(table, r"(?m)^bits per byte +tales +sums$")
        self.assertIn(f"{losses[2][1]:.4f}", table)
        self.expect(run("learn", "eval", *flags), 2, "needs a model")
        self.expect(run("learn", "eval", models[0]), 2, "--held-out")
        self.expect(run("learn", "eval", models[0], "--held-out", "tales"), 2, "--held-out tales: give a name and a file")
        self.expect(run("learn", "eval", models[0], "--held-out", f"x={folder / 'none.txt'}"), 1, "none.txt")
        self.expect(run("learn", "eval", str(folder / "none"), *domains), 3, "none")
        self.expect(run("learn", "eval", *models, *domains[:2]), 2, "2 stages of learning but 1 domains")
        self.expect(run("learn", "eval", models[0], *domains, "--context", "100000"), 2, "--context 100000")

    def test_wrong_words(self):
        folder = self.prepared()
        (folder / "bad.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
        self.expect(run("learn", "--out", str(folder / "x")), 2, "needs a file")
        self.expect(run("learn", str(folder / "tales.txt")), 2, "--out")
        self.expect(self.learn(folder, "x", data="bad.jsonl"), 1, "bad.jsonl:2")
        self.expect(self.learn(folder, "x", data="none.txt"), 1, "none.txt")
        self.expect(self.learn(folder, "x", "--context", "100000"), 2, "--context 100000")
        self.expect(self.learn(folder, "base"), 1, "is not empty")
        self.assertFalse((folder / "x").exists())


class generate_test(cli_case):
    def story(self, *flags):
        return self.expect(run("generate", PROMPT, "--max-tokens", "60", "--seed", "7", *flags), 0)

    def test_one_seed_is_one_story_however_it_is_computed(self):
        first = self.story()
        for flags in ([], ["--threads", "1"], ["--threads", "3"], ["--expert-shards", "2"], ["--attention-stages", "2"],
                      ["--attention-stages", "5", "--expert-shards", "16", "--threads", "2"], ["--page-tokens", "8"],
                      ["--prefill-chunk", "1"], ["--mixed-prefill", "1"], ["--no-prefix-cache"], ["--max-batch-tokens", "3"],
                      ["--speculative-tokens", "8"], ["--instruction-set", "reference"]):
            self.assertEqual(self.story(*flags), first, flags)
        self.assertNotEqual(self.story("--seed", "8"), first)

    def test_output_is_the_text_alone(self):
        outcome = run("generate", PROMPT, "--max-tokens", "20", "--seed", "7")
        text = self.expect(outcome, 0, "loaded", "generated").decode()
        self.assertTrue(text.startswith(PROMPT), text)
        self.assertNotIn("loaded", text)
        rest = self.expect(run("generate", PROMPT, "--max-tokens", "20", "--seed", "7", "--no-echo"), 0).decode()
        self.assertEqual(PROMPT + rest, text)

    def test_a_prompt_can_be_piped(self):
        piped = self.expect(run("generate", "-", "--max-tokens", "60", "--seed", "7", stdin=PROMPT.encode()), 0)
        self.assertEqual(piped, self.story())
        self.assertEqual(self.expect(run("generate", *PROMPT.split(), "--max-tokens", "60", "--seed", "7"), 0), piped)
        self.expect(run("generate"), 2, "needs a prompt")
        self.expect(run("generate", "-"), 2, "prompt is empty")

    def test_a_seed_nobody_gave_is_reported_and_repeats(self):
        outcome = run("generate", PROMPT, "--max-tokens", "30", "--temperature", "1")
        text = self.expect(outcome, 0)
        seed = re.search(r"--seed (\d+) repeats it", outcome.stderr.decode())[1]
        again = run("generate", PROMPT, "--max-tokens", "30", "--temperature", "1", "--seed", seed)
        self.assertEqual(self.expect(again, 0), text)

    def test_greedy_needs_no_seed(self):
        flags = ["generate", PROMPT, "--max-tokens", "30", "--temperature", "0"]
        self.assertEqual(self.expect(run(*flags), 0), self.expect(run(*flags), 0))

    def test_no_tokens_are_the_prompt_alone(self):
        self.assertEqual(self.expect(run("generate", PROMPT, "--max-tokens", "0"), 0), PROMPT.encode())

    def test_stop_texts_and_biases_reach_the_sampler(self):
        greedy = ["generate", PROMPT, "--no-echo", "--max-tokens", "30", "--temperature", "0"]
        text = self.expect(run(*greedy), 0).decode()
        word = text.split()[3]
        stopped = self.expect(run(*greedy, "--stop", word), 0).decode()
        self.assertEqual(stopped, text[:text.index(word)])
        token = json.loads(self.expect(run("tokenize", "--json", " the"), 0))["tokens"][0]
        forced = self.expect(run(*greedy[:-3], "3", "--temperature", "0", "--logit-bias", f"{token}=100"), 0)
        self.assertEqual(forced, b" the the the")

    def test_choices_do_not_mix(self):
        flags = ["--max-tokens", "20", "--seed", "7"]
        both = self.expect(run("generate", PROMPT, "--n", "2", *flags), 0).decode()
        first = self.expect(run("generate", PROMPT, *flags), 0).decode()
        self.assertTrue(both.startswith(first))
        self.assertEqual(both.count(PROMPT), 2)

    def test_log_probabilities_go_to_standard_error(self):
        outcome = run("generate", PROMPT, "--max-tokens", "5", "--seed", "7", "--logprobs", "2")
        self.assertEqual(self.expect(outcome, 0), self.expect(run("generate", PROMPT, "--max-tokens", "5", "--seed", "7"), 0))
        self.assertEqual(len(re.findall(r"^choice 0", outcome.stderr.decode(), re.M)), 5)

    def test_a_prompt_that_does_not_fit_is_refused(self):
        self.expect(run("generate", "-", stdin=b"word " * 3000), 2, "1024")

    def test_a_bias_for_a_token_nobody_has(self):
        self.expect(run("generate", PROMPT, "--logit-bias", "999999=1"), 2, "logit_bias")

    def test_quantised_weights_still_tell_a_story(self):
        for weights in ("int8", "int4", "bf16", "f32"):
            text = self.story("--quantize", weights).decode()
            self.assertGreater(len(text), len(PROMPT) + 50)
        self.assertEqual(self.story("--quantize", "int8"), self.story("--quantize", "int8", "--threads", "1"))


class interruption_test(cli_case):
    def first_bytes(self, process):
        self.assertTrue(process.stdout.read(len(PROMPT) + 1))

    def test_ctrl_c_ends_a_story_cleanly(self):
        for which, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = start(*LONG)
            self.first_bytes(process)
            process.send_signal(which)
            out, err = process.communicate(timeout=SECONDS_MAX)
            self.assertEqual(process.returncode, code, err)
            out.decode()  # no half character
            self.assertIn(b"generated", err)

    def test_nohup_keeps_it_running(self):
        for ignored, code in ((True, 0), (False, 129)):
            flags = ["--max-tokens", "200", "--ignore-eos", "--n", "16", "--seed", "1"]
            process = start("generate", PROMPT, *flags, preexec_fn=lambda: signal.signal(
                signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL))
            self.first_bytes(process)
            process.send_signal(signal.SIGHUP)
            err = process.communicate(timeout=SECONDS_MAX)[1]
            self.assertEqual(process.returncode, code, err)

    def test_a_reader_that_leaves_ends_it_quietly(self):
        process = start(*LONG)
        self.first_bytes(process)
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(SECONDS_MAX), 141, err)
        self.assertNotIn(b"troupe:", err)

    def test_a_closed_output_ends_it_quietly(self):
        process = subprocess.run(["sh", "-c", 'exec "$0" generate x --max-tokens 3 >&-', PROGRAM], env=environment(),
                                 capture_output=True, timeout=SECONDS_MAX, check=False)
        self.assertEqual(process.returncode, 141, process.stderr)
        self.assertNotIn(b"troupe:", process.stderr)

    def test_a_full_disk_is_an_error(self):
        for words in (["generate", PROMPT, "--max-tokens", "3"], ["tokenize", "x"], ["model", "inspect"], ["--help"]):
            with open("/dev/full", "wb") as full:
                process = start(*words, stdout=full)
                err = process.communicate(timeout=SECONDS_MAX)[1]
            self.assertEqual(process.returncode, 1, err)
            self.assertIn(b"standard output: No space left on device", err)


class tokenize_test(cli_case):
    def test_text_comes_back(self):
        for text in (PROMPT, "  naïve\n\tcafé — 東京 🎭  ", "<|endoftext|>"):
            tokens = json.loads(self.expect(run("tokenize", "--json", text), 0))
            self.assertEqual(tokens["count"], len(tokens["tokens"]))
            ids = " ".join(map(str, tokens["tokens"]))
            self.assertEqual(self.expect(run("tokenize", "--decode", ids), 0).decode(), text)

    def test_each_line_is_a_token(self):
        lines = self.expect(run("tokenize", PROMPT), 0).decode().splitlines()
        self.assertEqual(lines[0].split("\t")[1], '"Once"')
        self.assertEqual(self.expect(run("tokenize", "-", stdin=PROMPT.encode()), 0).decode().splitlines(), lines)

    def test_what_is_no_id_is_refused(self):
        self.expect(run("tokenize", "--decode", "1 two"), 2, "'two'")
        self.expect(run("tokenize", "--decode", "99999999"), 2, "4095")


class bench_test(cli_case):
    def test_prints_prompt_and_generation_speed(self):
        outcome = run("bench", "-p", "16", "-n", "8", "-r", "2", "--batch", "1,3", "--json")
        report = json.loads(self.expect(outcome, 0))
        self.assertEqual([(row["test"], row["batch"]) for row in report["results"]],
                         [("pp16", 1), ("pp16", 3), ("tg8", 1), ("tg8", 3)])
        for row in report["results"]:
            self.assertGreater(row["min_tokens_per_s"], 0)
            self.assertLessEqual(row["min_tokens_per_s"], row["median_tokens_per_s"])
            self.assertAlmostEqual(sum(row["time_shares"].values()), 1)
            self.assertGreater(row["time_shares"]["experts"], 0)
            self.assertGreater(row["possible_read_bytes_per_s"], 0)
            self.assertGreater(row["share_of_read"], 0)
        self.assertEqual(report["checked_sequences"], 3)

    def test_a_mode_leaves_the_others_out(self):
        for mode, batch, tests in (("pp", "2", [("pp16", 2)]), ("tg", "2", [("tg8", 2)]),
                                   ("batch", "1,2", [("tg8", 1), ("tg8", 2)])):
            outcome = run("bench", "-p", "16", "-n", "8", "-r", "1", "--mode", mode, "--batch", batch, "--json")
            report = json.loads(self.expect(outcome, 0))
            self.assertEqual([(row["test"], row["batch"]) for row in report["results"]], tests)

    def test_lengths_are_shortened_aloud(self):
        outcome = run("bench", "-p", "5000", "-n", "4", "-r", "1")
        self.assertIn(b"pp1023", self.expect(outcome, 0, "5000 is shortened to 1023"))

    def test_a_wrong_batch_is_refused(self):
        self.expect(run("bench", "--batch", "1,zero"), 2, "--batch")


class gguf_test(cli_case):
    """One file instead of a directory, for every command."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="troupe_gguf_")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.file = Path(cls.folder.name) / "fables.gguf"
        tales_gguf.write(TALES, cls.file)

    def both(self, *words, **more):
        """What a command writes with the directory and with the file, which must be the same."""
        with_folder = self.expect(run(*words, "--model", str(TALES), **more), 0)
        self.assertEqual(self.expect(run(*words, "--model", str(self.file), **more), 0), with_folder)
        return with_folder

    def test_it_tells_the_same_story(self):
        for format in ["none", "int4"]:
            story = self.both("generate", PROMPT, "--max-tokens", "40", "--seed", "3", "--temperature", "0.8",
                              "--quantize", format)
            self.assertGreater(len(story), len(PROMPT) + 40)

    def test_it_chats_through_its_own_template(self):
        self.both("chat", "--max-tokens", "12", "--temperature", "0", stdin=b"Tell me a story.\n/quit\n")

    def test_it_has_the_same_tokens(self):
        self.both("tokenize", "A fox, 12 na\u00efve cr\u00e8mes\n\n  and <|endoftext|>", "--json")
        self.both("tokenize", "--decode", "4 8 15 16 23 42")

    def test_it_can_be_inspected_and_measured(self):
        facts = json.loads(self.expect(run("model", "inspect", str(self.file), "--json"), 0))
        self.assertEqual(facts["family"], "deepseek_v3")
        wanted = json.loads(self.expect(run("model", "inspect", str(TALES), "--json"), 0))
        for field in ["parameters", "parameters_active", "vocabulary", "experts"]:
            self.assertEqual(facts[field], wanted[field], field)
        self.expect(run("bench", "--model", str(self.file), "-p", "16", "-n", "4", "-r", "1"), 0)

    def test_it_serves_under_its_own_name(self):
        with server("--model", str(self.file)) as running:
            answer = running.ask("/v1/completions", {"model": "fables", "prompt": PROMPT, "max_tokens": 8, "temperature": 0})
            self.assertEqual(answer.status, 200)
            told = json.loads(answer.read())["choices"][0]["text"]
        story = self.expect(run("generate", PROMPT, "--max-tokens", "8", "--temperature", "0"), 0).decode()
        self.assertEqual(story.strip(), (PROMPT + told).strip())

    def test_what_is_wrong_with_a_file_is_said(self):
        whole = self.file.read_bytes()
        broken = self.scratch() / "broken.gguf"
        everywhere = [(b"", "no GGUF file"), (b"{}", "no GGUF file"), (whole[:3000], "truncated"),
                      (b"GGUF\1\0\0\0" + whole[8:], "version 1"),
                      (whole.replace(b"tokenizer.ggml.merges", b"tokenizer.ggml.murges"), "tokenizer.ggml.merges"),
                      (whole.replace(b"deepseek2", b"deepseek9"), "'deepseek9'")]
        weights = [(whole[:-50000], "truncated"),
                   (whole.replace(b"blk.2.attn_kv_b", b"blk.2.attn_kv_x"), "'blk.2.attn_kv_b.weight' is missing")]
        for content, named in everywhere + weights:
            broken.write_bytes(content)
            self.expect(run("generate", PROMPT, "--model", str(broken)), 3, str(broken), named)
        for content, named in everywhere:
            broken.write_bytes(content)
            self.expect(run("tokenize", PROMPT, "--model", str(broken)), 3, str(broken), named)


class chat_test(cli_case):
    def test_every_line_gets_an_answer(self):
        lines = b"Tell me a story.\n\n/reset\nTell me a story.\n/quit\nnot read\n"
        out = self.expect(run("chat", "--max-tokens", "12", "--temperature", "0", stdin=lines), 0).decode()
        answers = out.splitlines()
        self.assertEqual(answers[:len(answers) // 2], answers[len(answers) // 2:], "after /reset it begins anew")

    def test_a_model_without_a_template_is_refused(self):
        folder = self.scratch() / "model"
        shutil.copytree(TALES, folder)
        (folder / "tokenizer_config.json").unlink()
        self.expect(run("chat", "--model", str(folder), stdin=b"hi\n"), 1, "no chat template")

    def test_ctrl_c_stops_the_answer_and_ctrl_d_leaves(self):
        leader, follower = pty.openpty()
        process = start("chat", "--ignore-eos", "--instruction-set", "reference", "--threads", "1", stdin=follower,
                        stdout=subprocess.PIPE, stderr=follower, preexec_fn=lambda: take_terminal(follower))
        os.close(follower)
        seen = terminal_reader(leader)
        self.assertTrue(seen.wait_for(b"> "), seen.text)
        os.write(leader, b"Tell me everything.\n")
        self.assertTrue(process.stdout.read(1))
        os.write(leader, b"\x03")
        self.assertTrue(seen.wait_for(b"generated"), seen.text)
        self.assertIsNone(process.poll())
        os.write(leader, b"\x04")
        self.assertEqual(process.wait(SECONDS_MAX), 0)
        process.stdout.close()
        seen.close()


def take_terminal(fd):
    """Makes the pseudo terminal the child's own, so that ^C in it becomes a signal."""
    import fcntl
    import termios
    os.setsid()
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


class terminal_reader:
    def __init__(self, fd):
        self.fd = fd
        self.text = b""
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while True:
            try:
                piece = os.read(self.fd, 4096)
            except OSError:
                return
            if not piece:
                return
            with self.changed:
                self.text += piece
                self.changed.notify_all()

    def wait_for(self, what):
        with self.changed:
            return self.changed.wait_for(lambda: what in self.text, SECONDS_MAX)

    def close(self):
        os.close(self.fd)


class server:
    """A running `troupe serve` on a free port."""

    def __init__(self, *flags, **variables):
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0", *flags], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        env=environment(**variables))
        self.lines = []
        self.connections = []
        self.ready = threading.Event()
        self.port = None
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("ready http://"):
                self.port = int(line.rsplit(":", 1)[1])
            if line.startswith("  curl "):
                self.ready.set()
        self.ready.set()

    def __enter__(self):
        self.ready.wait(SECONDS_MAX)
        if not self.port:
            raise RuntimeError("".join(self.lines))
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(10)
        self.process.stderr.close()

    def said(self):
        return "".join(self.lines)

    def ask(self, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_MAX)
        self.connections.append(connection)
        data = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, data,
                           {"Content-Type": "application/json", **(headers or {})})
        return connection.getresponse()

    def long_stream(self):
        """A stream that takes seconds."""
        answer = self.ask("/v1/completions", {"model": "tales", "prompt": PROMPT, "max_tokens": 600, "n": 24, "seed": 1,
                                              "ignore_eos": True, "stream": True})
        assert answer.status == 200, answer.read()
        assert answer.readline().startswith(b"id: ")
        assert answer.readline().startswith(b"data: ")
        return answer

    def stop(self, which=signal.SIGTERM):
        self.process.send_signal(which)


class serve_test(cli_case):
    def test_the_printed_curl_line_works_as_it_stands(self):
        with server() as running:
            line = next(line for line in running.lines if line.startswith("  curl "))
            if shutil.which("curl"):
                answer = subprocess.run(["sh", "-c", line], capture_output=True, timeout=SECONDS_MAX, check=True).stdout
                self.assertGreater(len(json.loads(answer)["choices"][0]["text"]), 20)
            self.assertRegex(running.said(), r"memory for \d+ tokens")
            running.stop()
            self.assertEqual(running.process.wait(SECONDS_MAX), 0)

    def test_draining_lets_a_running_stream_finish(self):
        with server() as running:
            stream = running.long_stream()
            running.stop()
            sent = time.monotonic()
            rest = stream.read().decode()
            self.assertGreater(time.monotonic() - sent, 0.05, "the stream had already ended")
            self.assertTrue(rest.rstrip().endswith("data: [DONE]"), rest[-200:])
            self.assertEqual(rest.count('"finish_reason":"length"'), 24)
            self.assertEqual(running.process.wait(SECONDS_MAX), 0, running.said())

    def test_nothing_new_is_accepted_while_draining(self):
        with server() as running:
            stream = running.long_stream()
            running.stop()
            refused = None
            for _ in range(200):
                try:
                    refused = running.ask("/v1/completions", {"model": "tales", "prompt": "x", "max_tokens": 1}).status
                except OSError:
                    refused = 503
                if refused == 503:
                    break
                time.sleep(0.01)
            self.assertEqual(refused, 503)
            stream.close()

    def test_a_second_signal_ends_it_at_once(self):
        with server() as running:
            stream = running.long_stream()
            running.stop()
            time.sleep(0.2)
            self.assertIsNone(running.process.poll(), "it should still be draining")
            running.stop()
            self.assertEqual(running.process.wait(5), 143)
            stream.close()

    def test_a_drain_that_takes_too_long_says_so(self):
        with server("--drain-timeout", "0") as running:
            stream = running.long_stream()
            running.stop(signal.SIGINT)
            self.assertEqual(running.process.wait(SECONDS_MAX), 4)
            stream.close()
            running.reader.join(10)
            self.assertIn("cut off", running.said())

    def test_a_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            self.expect(run("serve", "--port", port), 1, port, "in use")

    def test_open_networks_need_a_key(self):
        self.expect(run("serve", "--host", "0.0.0.0", "--port", "0"), 2, "--api-key", "--allow-open-network")
        self.expect(run("serve", "--host", "example.com", "--port", "0"), 2, "--host example.com", "127.0.0.1")
        keys = self.scratch() / "keys"
        keys.write_text("# for the tests\nsesame\n")
        with server("--host", "0.0.0.0", "--api-key-file", str(keys), TROUPE_API_KEY="tahini") as running:
            self.assertEqual(running.ask("/v1/models").status, 401)
            for key in ("sesame", "tahini"):
                self.assertEqual(running.ask("/v1/models", headers={"Authorization": f"Bearer {key}"}).status, 200)
            self.assertNotIn("sesame", running.said())
            self.assertNotIn("tahini", running.said())
        keys.write_text("# nothing\n")
        self.expect(run("serve", "--api-key-file", str(keys)), 2, "holds no key")

    def test_the_model_has_the_name_it_was_given(self):
        with server("--served-model-name", "grimm") as running:
            listing = json.loads(running.ask("/v1/models").read())
            self.assertEqual([model["id"] for model in listing["data"]], ["grimm"])


class persist_kv_test(cli_case):
    STORY = "Once upon a time there was a king who had three daughters, and the youngest was so beautiful " * 4

    def complete(self, running, **more):
        body = {"model": "tales", "prompt": self.STORY, "max_tokens": 40, "seed": 5, "logprobs": 2, **more}
        answer = json.loads(running.ask("/v1/completions", body).read())
        details = answer["usage"].get("prompt_tokens_details") or {}
        return answer["choices"][0], details.get("cached_tokens", 0), answer["usage"]["prompt_tokens"]

    def metric(self, running, name):
        page = running.ask("/metrics").read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines()
                   if line.startswith((name + " ", name + "{")))

    def wait_for_pages(self, running, count):
        until = time.monotonic() + SECONDS_MAX
        while self.metric(running, "troupe_kv_archive_pages_written_total") < count:
            self.assertLess(time.monotonic(), until, "the pages are not written")
            time.sleep(0.05)

    def test_answers_and_hits_survive_sigkill_and_sigterm(self):
        folder = self.scratch() / "kv"
        flags = ("--persist-kv", str(folder))
        with server() as running:
            expected, cached, prompt = self.complete(running)
            self.assertEqual(cached, 0)
            self.assertEqual(self.metric(running, "troupe_kv_archive_pages"), 0)
        full = (prompt - 1) // 16 * 16
        with server(*flags) as running:
            self.assertEqual(self.complete(running)[:2], (expected, 0))
            self.assertEqual(self.complete(running, cache_salt="mine")[:2], (expected, 0))
            self.wait_for_pages(running, full // 16 * 2)
            running.stop(signal.SIGKILL)
            running.process.wait(SECONDS_MAX)
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        for file in folder.iterdir():
            self.assertEqual(file.stat().st_mode & 0o777, 0o600, file)
        with server(*flags) as running:
            self.assertEqual(self.complete(running)[:2], (expected, full))
            self.assertEqual(self.complete(running, cache_salt="theirs")[:2], (expected, 0))
            self.assertEqual(self.complete(running, cache_salt="mine")[:2], (expected, full))
            self.assertEqual(self.metric(running, "troupe_kv_archive_pages_restored_total"), full // 16 * 2)
            running.stop()
            self.assertEqual(running.process.wait(SECONDS_MAX), 0, running.said())
        # What was written last was written before it ended.
        with server(*flags) as running:
            self.assertEqual(self.complete(running, cache_salt="theirs")[:2], (expected, full))
            self.expect(run("serve", "--port", "0", *flags), 1, "another process uses this folder")

    def test_damaged_and_foreign_pages_are_computed_again(self):
        folder = self.scratch() / "kv"
        flags = ("--persist-kv", str(folder))
        with server(*flags) as running:
            expected, _, prompt = self.complete(running)
            running.stop()
            running.process.wait(SECONDS_MAX)
        full = (prompt - 1) // 16 * 16
        pages = sorted(folder.glob("*.kv"), key=lambda file: file.name[32:48])
        self.assertGreaterEqual(len(pages), full // 16)
        content = bytearray(pages[2].read_bytes())
        content[len(content) // 2] ^= 1
        pages[2].write_bytes(content)
        pages[3].write_bytes(pages[3].read_bytes()[:100])
        with server(*flags) as running:
            self.assertEqual(self.complete(running)[:2], (expected, 32))
            self.assertEqual(self.metric(running, "troupe_kv_archive_pages_unreadable_total"), 1)
            running.stop()
            running.process.wait(SECONDS_MAX)
        with server(*flags, "--quantize", "int8") as running:
            self.assertEqual(self.complete(running)[1], 0)
            self.assertGreater(self.metric(running, "troupe_kv_archive_pages_foreign_total"), 0)

    def test_a_folder_that_cannot_be_had_is_an_error(self):
        self.expect(run("serve", "--port", "0", "--persist-kv", "/proc/nowhere"), 1, "--persist-kv", "/proc/nowhere")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: cli_test.py PROGRAM [unittest arguments]")
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=1)
