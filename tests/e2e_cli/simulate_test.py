#!/usr/bin/env python3
# troupe simulate as people run it: simulate_test.py PROGRAM [unittest arguments].
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path

PROGRAM = ""
SECONDS_MAX = 240
FAMILIES = ["process", "network", "device", "storage", "clock", "coordinator", "correlated"]
FAIL_LINE = re.compile(r'^FAIL inv=(\w+) seed=(0x[0-9a-f]+) scenario=(\w+) strategy=(\w+) events=(\d+) '
                       r'vt=([\d.]+)s replay="(troupe simulate replay [^"]+)"$', re.M)
# Two of three voters end for good while clients never give up; the other faults have no part in it.
HOPELESS = """
name = "hopeless"
[workload]
retries_max = 100000
[expect]
survivable = false
settle = "3s"
"""
VOTERS_END = """
[[antagonist]]
id = "F03"
target = {node}
from = "1ms"
until = "5ms"
settings = {{ restart_after_ms = 0 }}
"""
BYSTANDERS = """
[[antagonist]]
id = "F21"
count = 3
[[antagonist]]
id = "F60"
count = 3
"""


def run(*words, folder=None, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}
    environment.update(variables)
    return subprocess.run([PROGRAM, "simulate", *words], capture_output=True, text=True, timeout=SECONDS_MAX,
                          cwd=folder, env=environment, check=False)


class simulate_case(unittest.TestCase):
    def expect(self, outcome, code, *in_stderr):
        self.assertEqual(outcome.returncode, code, outcome.stdout + outcome.stderr)
        for part in in_stderr:
            self.assertIn(part, outcome.stderr)
        return outcome.stdout

    def scratch(self):
        folder = tempfile.TemporaryDirectory(prefix="troupe_simulate_")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)


class list_test(simulate_case):
    def test_lists_scenarios_faults_and_invariants(self):
        text = self.expect(run("list"), 0)
        for part in ("node_loss", "F03", "not yet: ", "S2", "register.prepare"):
            self.assertIn(part, text)
        listing = json.loads(self.expect(run("list", "--json"), 0))
        self.assertGreaterEqual(len(listing["scenarios"]), 20)
        self.assertGreaterEqual(sum(fault["implemented"] for fault in listing["faults"]), 45)
        self.assertEqual({fault["family"] for fault in listing["faults"]}, set(FAMILIES))

    def test_wrong_words_are_usage_errors(self):
        self.expect(run("run", "--scenario", "node_los"), 2, "did you mean node_loss?")
        self.expect(run("run", "--seeds", "5..1"), 2, "--seeds", "empty")
        self.expect(run("run", "--strategy", "best"), 2, "portfolio")
        self.expect(run("run", "--nodes", "65"), 2, "0 to 64")
        self.expect(run("replay"), 2, "one plan file")
        self.expect(run("replay", "none.toml"), 2, "none.toml")
        self.expect(run("expand", "steady"), 2, "a scenario and a seed")
        self.expect(run("mutants"), 1, "troupe_mutants")
        file = self.scratch() / "own.toml"
        file.write_text("[cluster]\nnods = 3\n")
        self.expect(run("run", "--scenario", str(file)), 2, f"{file}:2:1", "did you mean nodes?")


class run_test(simulate_case):
    def test_passing_runs_are_summed_up(self):
        summary = self.expect(run("run", "--scenario", "standard", "--seeds", "1..40"), 0)
        for part in ("runs                 40 ", "failed               0\n", "F03 node_crash", "streams lost         0\n"):
            self.assertIn(part, summary)

    def test_neither_jobs_nor_order_change_a_result(self):
        words = ("run", "--scenario", "cascade", "--scenario", "drain", "--seeds", "5..24", "--json")
        one = json.loads(self.expect(run(*words, "--jobs", "1"), 0))
        many = json.loads(self.expect(run(*words, "--jobs", "4"), 0))
        for key in ("seconds", "runs_per_second", "events_per_second"):
            one.pop(key), many.pop(key)
        self.assertEqual(one, many)
        self.assertEqual(one["runs"], 40)

    def test_every_seed_is_the_same_twice(self):
        self.assertIn("(60 of them twice)",
                      self.expect(run("run", "--scenario", "chaos", "--seeds", "1..60", "--check-determinism", "all"), 0))

    def test_every_strategy_and_size(self):
        for strategy in ("fifo", "random", "pct", "delay", "overlap"):
            summary = self.expect(run("run", "--scenario", "node_loss", "--seeds", "1..10", "--strategy", strategy), 0)
            self.assertIn(f"{strategy} 10", summary)
        for nodes in ("1", "2", "3", "8"):
            self.expect(run("run", "--scenario", "steady", "--seeds", "1..5", "--nodes", nodes), 0)

    def test_interruption_leaves_a_summary(self):
        process = subprocess.Popen([PROGRAM, "simulate", "run", "--scenario", "chaos", "--seeds", "1..1000000"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=SECONDS_MAX)
        self.assertEqual(process.returncode, 1, complained)
        self.assertIn("stopped after", complained)
        self.assertIn("virtual hours", said)


class failure_test(simulate_case):
    def hopeless(self):
        folder = self.scratch()
        file = folder / "hopeless.toml"
        file.write_text(HOPELESS + VOTERS_END.format(node=0) + VOTERS_END.format(node=1) + BYSTANDERS)
        return folder, file

    def test_a_failure_is_one_line_and_a_plan_that_replays(self):
        folder, file = self.hopeless()
        outcome = run("run", "--scenario", str(file), "--seeds", "1..3", folder=folder)
        self.expect(outcome, 128)
        lines = FAIL_LINE.findall(outcome.stderr)
        self.assertEqual(len(lines), 3, outcome.stderr)
        self.assertEqual({line[0] for line in lines} - {"S6", "M6"}, set())
        again = run(*shlex.split(lines[0][6])[2:], folder=folder)
        said = self.expect(again, 128)
        self.assertIn("reproduced: fails in", said)
        self.assertIn("the hash is the recorded one", said)

    def test_a_negative_scenario_passes_when_it_fails_as_it_must(self):
        folder, file = self.hopeless()
        file.write_text(file.read_text().replace("settle", 'fails_with = "M6"\nsettle'))
        self.expect(run("run", "--scenario", str(file), "--seeds", "1..5", folder=folder), 0)
        file.write_text('name = "fine"\n[expect]\nfails_with = "S2"\n')
        self.expect(run("run", "--scenario", str(file), "--seeds", "1", folder=folder), 129, "inv=EXPECT",
                    "must fail with S2")

    def test_shrinking_leaves_what_is_needed_and_nothing_else(self):
        folder, file = self.hopeless()
        self.expect(run("run", "--scenario", str(file), "--seeds", "7", folder=folder), 128)
        plan = next((folder / "simulate-failures").iterdir())
        said = self.expect(run("shrink", str(plan), "-o", "small.toml", folder=folder), 0)
        self.assertIn("minimal: without any one of its faults it does not fail", said)
        small = (folder / "small.toml").read_text()
        parts = small.split("\n[[fault]]")
        self.assertLess(len(parts), plan.read_text().count("[[fault]]") + 1)
        self.assertNotIn("F21", small)
        self.expect(run("replay", "small.toml", folder=folder), 128)
        for left_out in range(1, len(parts)):
            fewer = folder / "fewer.toml"
            fewer.write_text("\n[[fault]]".join(parts[:left_out] + parts[left_out + 1:]))
            invariant = re.search(r'invariant = "(\w+)"', small).group(1)
            self.assertIn(f"does not fail in {invariant}", run("replay", "fewer.toml", folder=folder).stdout)
        self.assertEqual(ET.parse(folder / "small.svg").getroot().tag, "{http://www.w3.org/2000/svg}svg")
        self.assertGreater(len((folder / "small.txt").read_text().splitlines()), 20)

    def test_what_does_not_fail_cannot_be_shrunk(self):
        folder = self.scratch()
        (folder / "plan.toml").write_text(self.expect(run("expand", "steady", "3"), 0))
        self.expect(run("shrink", "plan.toml", folder=folder), 1, "does not fail")


class replay_test(simulate_case):
    def test_an_expanded_plan_can_be_edited_and_replayed(self):
        folder = self.scratch()
        plan = self.expect(run("expand", "node_loss", "0x5"), 0)
        self.assertEqual(plan, self.expect(run("expand", "node_loss", "5"), 0))
        (folder / "plan.toml").write_text(plan)
        first = self.expect(run("replay", "plan.toml", "--log", "full", folder=folder), 0)
        self.assertEqual(first, self.expect(run("replay", "plan.toml", "--log", "full", folder=folder), 0))
        self.assertIn("no violations", first)
        (folder / "plan.toml").write_text(plan.split("\n[[fault]]")[0])
        second = self.expect(run("replay", "plan.toml", "--log", "full", folder=folder), 0)
        self.assertNotIn(" crash", second)
        self.assertNotEqual(first, second)

    def test_mistakes_in_a_plan_are_told_with_their_place(self):
        folder = self.scratch()
        (folder / "plan.toml").write_text('seed = 1\n[[fault]]\nid = "F03"\nnode = 9\n')
        self.expect(run("replay", "plan.toml", folder=folder), 2, "plan.toml:4:1: fault.node is 9, must be 0 to 4")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: simulate_test.py PROGRAM [unittest arguments]")
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=1)
