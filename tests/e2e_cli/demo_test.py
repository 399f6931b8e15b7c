#!/usr/bin/env python3
# The demonstration of learning while serving, small: demo_test.py PROGRAM [unittest arguments].
import random
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ""
SENTENCES = """Es war einmal ein König, der hatte drei Töchter. Die jüngste war so schön, daß die Sonne sich verwunderte.
Vor dem Schloß lag ein großer dunkler Wald. In dem Walde unter einer alten Linde war ein Brunnen.
Da ging das Königskind hinaus und setzte sich an den Rand. Der Frosch streckte seinen Kopf aus dem Wasser.
Die Mutter sprach zu dem Kind, es solle nicht vom Wege gehen. Der Wolf aber dachte bei sich, das ist ein fetter Bissen.
Als die Hexe schlief, nahmen sie die Edelsteine und liefen nach Haus. Und wenn sie nicht gestorben sind, so leben sie noch heute.
Der Müller hatte nichts als eine Mühle und einen Esel. Da sprach der Kater, gib mir nur ein Paar Stiefel."""


class demo_test(unittest.TestCase):
    def test_german_is_learnt_while_the_server_answers_and_is_killed(self):
        draw = random.Random(1)
        sentences = [s.strip() + "." for s in SENTENCES.replace("\n", " ").split(".") if s.strip()]
        documents = [" ".join(draw.sample(sentences, 6)) for _ in range(240)]
        with tempfile.TemporaryDirectory(prefix="troupe_demo_") as folder:
            text = Path(folder) / "german.txt"
            text.write_text("\n\n".join(documents))
            outcome = subprocess.run([sys.executable, str(ROOT / "deploy" / "demo_learn_while_serving.py"), PROGRAM, str(text),
                                      "--versions", "4", "--publish-every", "3", "--epsilon", "5", "--seconds", "240", "--kill"],
                                     capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(outcome.returncode, 0, outcome.stdout + outcome.stderr)
        self.assertIn("were killed and start again", outcome.stdout)
        before, after = map(float, re.search(r"German ([\d.]+) -> ([\d.]+)", outcome.stdout).groups())
        self.assertLess(after, before)
        self.assertRegex(outcome.stdout, r"answers by [2-9] versions of the weights, 0 failed")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
