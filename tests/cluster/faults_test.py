#!/usr/bin/env python3
# Faults of single processes that need their exit codes: tests/cluster/faults_test.py PROGRAM [unittest arguments].
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from processes import Door, Program, Rest, Stream, alive, free_ports, wait_until

PROGRAM = ""
PROMPT = "Once upon a time"
LONG = {"prompt": PROMPT, "max_tokens": 160, "ignore_eos": True, "temperature": 0.9}
DISK_KIB = 2048


class Nodes:
    """A cluster whose nodes are children of this process."""

    def __init__(self, folder, names):
        self.folder, self.running = folder, {}
        ports = dict(zip(names, free_ports(len(names))))
        lines = ['secret_file = "secret"', f"voters = {len(names)}", "shard_copies = 2"]
        for name in names:
            lines += ["[[node]]", f'name = "{name}"', f'address = "127.0.0.1:{ports[name]}"', 'http = "127.0.0.1:0"']
        (folder / "cluster.toml").write_text("\n".join(lines) + "\n")
        for file in ("secret", "admin.key"):
            (folder / file).write_text(secrets.token_hex(32) + "\n")
            (folder / file).chmod(0o600)
        for name in names:
            self.running[name] = self.start(name, "--form")
        for name in names:
            self.running[name].url()

    def start(self, name, *more, data=None):
        return Program(PROGRAM, "node", "--cluster", str(self.folder / "cluster.toml"), "--name", name, "--data-dir",
                       str(data or self.folder / name), "--admin-key-file", str(self.folder / "admin.key"),
                       "--log-level", "info", *more)

    def pid(self, name):
        return self.running[name].process.pid

    def door(self, name):
        return Door(self.running[name].url())

    def page(self, name):
        return self.door(name).page((self.folder / "admin.key").read_text().strip())

    def restart(self, name):
        self.running[name].__exit__()
        self.running[name] = self.start(name)
        self.running[name].url()

    def end(self):
        for each in self.running.values():
            each.__exit__()


class fault_case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Program(PROGRAM, "serve", "--port", "0") as lone:
            door = Door(lone.url())
            cls.expected = {seed: door.complete(seed=seed, **LONG)[0] for seed in range(6)}

    def scratch(self):
        folder = tempfile.TemporaryDirectory(prefix="troupe_faults_")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def nodes(self, folder, names=("n0", "n1", "n2")):
        made = Nodes(folder, names)
        self.addCleanup(made.end)
        return made

    def streams(self, doors):
        out = [Stream(doors[seed % len(doors)], seed=seed, **LONG) for seed in self.expected]
        wait_until(lambda: all(stream.pieces >= 3 or stream.trouble for stream in out), "six streams have begun")
        return out

    def check(self, streams, elsewhere):
        """All complete and the same; one that broke off goes on at `elsewhere` by its id."""
        broken = 0
        for seed, stream in enumerate(streams):
            stream.join(60)
            text = stream.text
            if not stream.finished:
                broken += 1
                rest = Rest(elsewhere, stream)
                rest.join(60)
                self.assertTrue(rest.finished, f"stream {seed}: {stream.trouble}, then {rest.trouble}")
                text += rest.text
            self.assertEqual(text, self.expected[seed], f"stream {seed}")
        return broken


class earlier_starts(fault_case):
    def test_a_paused_start_that_wakes_after_a_later_one_ends_with_code_5(self):
        folder = self.scratch()
        nodes = self.nodes(folder)
        streams = self.streams([nodes.door(name) for name in ("n0", "n1", "n2")])
        old = nodes.running["n2"]
        old.send(signal.SIGSTOP)  # with frames on their way, both ways
        new = nodes.running["n2"] = nodes.start("n2", "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1:1",
                                                data=folder / "n2.later")
        new.url()
        incarnations = {member["name"]: member["incarnation"] for member in nodes.page("n0")["members"]}
        self.assertTrue(alive(old.process.pid))
        old.send(signal.SIGCONT)
        self.assertEqual(old.wait(), 5, old.said())
        self.assertRegex(old.said(), "n2 cannot go on and ends; start it again: .*later start")
        old.__exit__()
        self.assertGreater(self.check(streams, nodes.door("n0")), 0, "streams of the old door break off")
        # It took nothing from the later start.
        self.assertIsNone(new.process.poll(), new.said())
        self.assertEqual({member["name"]: member["incarnation"] for member in nodes.page("n0")["members"]}, incarnations)
        self.assertEqual(nodes.door("n2").complete(seed=1, **LONG)[0], self.expected[1])

    def test_a_start_that_pauses_and_wakes_many_times_under_load_costs_nothing(self):
        nodes = self.nodes(self.scratch())
        streams = self.streams([nodes.door("n0"), nodes.door("n1")])
        for _ in range(3):
            nodes.running["n2"].send(signal.SIGSTOP)
            wait_until(lambda: not connected(nodes.page("n0"), "n2") or all(s.finished for s in streams), "n2 is missed")
            nodes.running["n2"].send(signal.SIGCONT)
            wait_until(lambda: connected(nodes.page("n0"), "n2"), "n2 is back")
        self.assertEqual(self.check(streams, nodes.door("n0")), 0)
        self.assertIsNone(nodes.running["n2"].process.poll(), nodes.running["n2"].said())


def connected(page, name):
    return next(member["connected"] and member["present"] for member in page["members"] if member["name"] == name)


class full_disks(fault_case):
    def small_disk(self, where):
        where.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "troupe-test", str(where)],
                              capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
        if done is None or done.returncode != 0:
            self.skipTest("a small file system needs root and mount: " + (done.stderr.strip() if done else "not root"))
        self.addCleanup(subprocess.run, ["umount", "-l", str(where)], check=False)

    def fill(self, where):
        with open(where / "filler", "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass

    def test_a_voter_whose_disk_is_full_is_silent_until_it_has_room(self):
        folder = self.scratch()
        self.small_disk(folder / "n1")
        nodes = self.nodes(folder)
        streams = self.streams([nodes.door("n0"), nodes.door("n1")])
        self.fill(folder / "n1")
        # Its door is open all the same, and says nothing of a disk.
        late = Stream(nodes.door("n1"), seed=4, **LONG)
        late.join(60)
        self.assertEqual(late.text, self.expected[4], late.trouble)
        self.assertNotEqual(late.kept, "disk")

        nodes.running["n2"].send(signal.SIGKILL)  # n0 and n1 have to agree, and n1 cannot write its vote
        nodes.running["n2"].wait()
        n1 = nodes.running["n1"]
        n1.wait_for("cannot store its votes; it stays silent until it can")
        self.assertIn("No space left on device", n1.said())
        time.sleep(1)
        page = nodes.page("n0")
        self.assertTrue(next(each["present"] for each in page["members"] if each["name"] == "n2"), "nobody decides alone")
        self.assertIsNone(n1.process.poll(), n1.said())

        (folder / "n1" / "filler").unlink()
        n1.wait_for("stores its votes again")
        wait_until(lambda: nodes.page("n0")["epoch"] > page["epoch"], "an epoch without n2")
        self.assertEqual(self.check(streams, nodes.door("n0")), 0)
        self.assertEqual(n1.said().count("cannot store its votes"), 1, "said once, not with every try")
        nodes.restart("n2")
        self.assertEqual(nodes.door("n2").complete(seed=1, **LONG)[0], self.expected[1])

    def test_a_node_cannot_start_on_a_full_disk_and_says_why(self):
        folder = self.scratch()
        self.small_disk(folder / "n1")
        nodes = self.nodes(folder)
        self.assertEqual(nodes.running["n1"].end(), 0, nodes.running["n1"].said())
        self.fill(folder / "n1")
        streams = self.streams([nodes.door("n0"), nodes.door("n2")])
        refused = nodes.start("n1")
        self.addCleanup(refused.__exit__)
        self.assertEqual(refused.wait(), 1, refused.said())
        self.assertIn("No space left on device", refused.said())
        self.assertEqual(self.check(streams, nodes.door("n0")), 0)
        (folder / "n1" / "filler").unlink()
        nodes.restart("n1")
        self.assertEqual(nodes.door("n1").complete(seed=1, **LONG)[0], self.expected[1])


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(f"usage: {sys.argv[0]} PROGRAM [unittest arguments]")
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=1)
