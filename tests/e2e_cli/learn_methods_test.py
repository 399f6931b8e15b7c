#!/usr/bin/env python3
# Every method against forgetting on the built program: the same bits however a run is computed or resumed, files that
# say what they should, and refusals: tests/e2e_cli/learn_methods_test.py PROGRAM [unittest arguments].
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = ""
SECONDS_MAX = 120


def run(*words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}
    return subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
                          env=environment)


def tales(seed):
    draw = random.Random(seed)
    words = "the king queen wolf of in house went saw old young red said to and a very happy".split()
    return "<|endoftext|>".join(" ".join(draw.choice(words) for _ in range(draw.randint(20, 90))) for _ in range(40))


def tensors(path):
    """Name to (shape, values) of a safetensors file of F32 or BF16."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    out = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            part = data[begin:end]
            if entry["dtype"] == "BF16":
                part = b"".join(b"\0\0" + part[at:at + 2] for at in range(0, len(part), 2))
            out[name] = (entry["shape"], struct.unpack(f"<{len(part) // 4}f", part))
    return out


class learn_methods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="troupe-methods-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        for name, seed in (("new.txt", 1), ("known.txt", 2)):
            (cls.folder / name).write_text(tales(seed), encoding="utf-8")
        made = run("model", "synth", "tiny", "--out", cls.folder / "base")
        assert made.returncode == 0, made.stderr

    def learn(self, *more, model="base", steps=6, code=0):
        outcome = run("learn", self.folder / "new.txt", "--model", self.folder / model, "--steps", steps, "--step-tokens",
                      "400", "--context", "48", "--learning-rate", "0.01", "--report-every", "1", *more)
        self.assertEqual(outcome.returncode, code, outcome.stderr + outcome.stdout)
        return outcome

    @staticmethod
    def state_in(outcome):
        return re.search(r"state ([0-9a-f]{16})", outcome.stdout).group(1)

    def everything(self):
        return ["--ewc", "5", "--ewc-data", self.folder / "known.txt", "--ewc-documents", "6", "--ewc-draws", "2", "--teacher",
                "start", "--distil-hidden", "0.5", "--freeze", "norm", "--lora-rank", "3", "--lora-targets", "attention"]

    def test_all_together_give_the_same_bits_however_they_are_computed(self):
        usual = self.state_in(self.learn(*self.everything(), "--out", self.folder / "usual", "--threads", "1"))
        cut = self.learn(*self.everything(), "--out", self.folder / "cut", "--threads", "2", "--tokens-at-once", "1",
                         "--recompute", "--instruction-set", "avx2")
        self.assertEqual(self.state_in(cut), usual)
        plain = self.learn("--out", self.folder / "plain")
        self.assertNotEqual(self.state_in(plain), usual)

    def test_each_alone_goes_on_from_a_checkpoint_to_the_same_bits(self):
        known = self.folder / "known.txt"
        for name, switch in {"ewc": ["--ewc", "50", "--ewc-data", known], "teacher": ["--teacher", "start"],
                             "freeze": ["--freeze", "expert,embedding"], "lora": ["--lora-rank", "2"],
                             "all": self.everything()}.items():
            with self.subTest(name):
                words = [*switch, "--decay", "constant"]
                whole = self.state_in(self.learn(*words, "--out", self.folder / f"{name}-whole"))
                kept = ["--checkpoints", self.folder / f"{name}-kept", "--checkpoint-every", "2"]
                self.learn(*words, *kept, steps=4)
                again = self.learn(*words, *kept, "--resume")
                self.assertIn("going on after step 4", again.stderr)
                self.assertNotIn("importance of weights measured", again.stderr)
                self.assertEqual(self.state_in(again), whole)

    def test_adapters_added_to_the_base_are_what_is_merged(self):
        merged, adapter = self.folder / "merged", self.folder / "adapter"
        self.learn("--lora-rank", "2", "--lora-alpha", "6", "--lora-targets", "attention", "--out", merged, "--lora-out",
                   adapter)
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        self.assertEqual((config["r"], config["lora_alpha"], config["peft_type"]), (2, 6, "LORA"))
        factors = tensors(adapter / "adapter_model.safetensors")
        before, after = tensors(self.folder / "base" / "model.safetensors"), tensors(merged / "model.safetensors")
        adapted = {name.removeprefix("base_model.model.").replace(".lora_A", "") for name in factors if ".lora_A" in name}
        self.assertTrue(adapted)
        for name, (shape, values) in after.items():
            if name not in adapted:
                continue
            module = "base_model.model." + name.removesuffix(".weight")
            (_, a), (_, b) = factors[module + ".lora_A.weight"], factors[module + ".lora_B.weight"]
            self.assertIn(name.split(".")[-2], config["target_modules"])
            for at in random.Random(name).sample(range(len(values)), 40):
                row, column = divmod(at, shape[1])
                added = 3 * sum(b[row * 2 + r] * a[r * shape[1] + column] for r in range(2))
                self.assertAlmostEqual(values[at], before[name][1][at] + added, delta=1e-6)
            self.assertNotEqual(values, before[name][1])

    def test_importance_is_handed_on_from_run_to_run(self):
        ewc = ["--ewc", "5", "--ewc-data", self.folder / "known.txt", "--ewc-documents", "5"]
        self.learn(*ewc, "--out", self.folder / "first")
        second = self.learn(*ewc, "--ewc-decay", "0.5", "--out", self.folder / "second", model="first")
        self.assertIn("importance known before", second.stderr)
        first = tensors(self.folder / "first" / "ewc_importance.safetensors")
        later = tensors(self.folder / "second" / "ewc_importance.safetensors")
        self.assertEqual(set(first), set(tensors(self.folder / "first" / "model.safetensors")))
        for name, (_, values) in first.items():
            if "norm" in name:
                self.assertTrue(all(0.5 * old <= new for old, new in zip(values, later[name][1])), name)
        fresh = self.learn(*ewc, "--ewc-decay", "0", "--out", self.folder / "fresh", model="first")
        self.assertNotEqual(self.state_in(fresh), self.state_in(second))

    def test_what_is_frozen_is_written_as_it_was_read(self):
        self.learn("--freeze", "expert,embedding,norm", "--out", self.folder / "frozen")
        before, after = (tensors(self.folder / name / "model.safetensors") for name in ("base", "frozen"))
        still = [name for name in after if after[name] == before[name]]
        self.assertTrue(any("expert" in name for name in still))
        for name in after:
            self.assertEqual(name in still, any(word in name for word in ("experts", "embed", "norm")), name)

    def test_another_model_can_be_the_teacher(self):
        self.learn("--out", self.folder / "other")
        taught = self.learn("--teacher", self.folder / "other", "--out", self.folder / "taught")
        self.assertRegex(taught.stderr, r"teacher 0\.\d*[1-9]")

    def test_refuses_what_means_nothing(self):
        for words, code, said in (
                (["--freeze", "norm,exprt", "--out", self.folder / "x"], 3, "'exprt' at character 6"),
                (["--lora-rank", "2", "--lora-targets", "norm", "--out", self.folder / "x"], 3, "leaves no matrix"),
                (["--lora-out", self.folder / "x"], 2, "--lora-out needs --lora-rank"),
                (["--ewc-data", self.folder / "known.txt", "--out", self.folder / "x"], 2, "--ewc-data needs --ewc"),
                (["--ewc", "1", "--hold-out", "0", "--out", self.folder / "x"], 1, "nothing to measure importance on"),
                (["--teacher", self.folder / "nowhere", "--out", self.folder / "x"], 3, "nowhere"),
                (["--lora-rank", "2", "--lora-out", self.folder / "base"], 1, "base")):
            with self.subTest(said):
                shutil.rmtree(self.folder / "x", ignore_errors=True)
                outcome = self.learn(*words, code=code)
                self.assertIn(said, outcome.stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
