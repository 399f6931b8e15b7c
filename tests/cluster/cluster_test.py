#!/usr/bin/env python3
# Clusters of real processes, as people run them: tests/cluster/cluster_test.py PROGRAM [unittest arguments].
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from processes import ROOT, Cluster, Door, Program, Rest, Stream, alive, environment, wait_until

PROGRAM = ""
PROMPT = "Once upon a time"
LONG = {"prompt": PROMPT, "max_tokens": 160, "ignore_eos": True, "temperature": 0.9}


class cluster_case(unittest.TestCase):
    def scratch(self):
        folder = tempfile.TemporaryDirectory(prefix="troupe_cluster_")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def cluster(self, nodes=3, *flags, **variables):
        made = Cluster(PROGRAM, self.scratch() / "c", **variables)
        self.addCleanup(made.down)
        made.up(nodes, *flags)
        return made

    def start(self, *words, **variables):
        made = Program(PROGRAM, *words, **variables)
        self.addCleanup(made.__exit__)
        return made

    def run_program(self, *words):
        return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, env=environment(),
                              check=False)

    def generated(self, *flags):
        done = self.run_program("generate", PROMPT, "--no-echo", "--no-statistics", *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def expected_streams(self, seeds):
        """What an undisturbed node of its own says."""
        with Program(PROGRAM, "serve", "--port", "0") as lone:
            door = Door(lone.url())
            return {seed: door.complete(seed=seed, **LONG)[0] for seed in seeds}

    def lone_file(self):
        file = self.scratch() / "c.toml"
        file.write_text('[[node]]\nname = "a"\naddress = "127.0.0.1:%d"\n' % (30100 + os.getpid() % 2000))
        return file

    def wait_for_state(self, cluster, name, state):
        wait_until(lambda: cluster.nodes()[name]["state"] == state, f"{name} {state}")


class doors(cluster_case):
    def test_every_door_gives_the_bytes_of_a_single_node(self):
        cluster = self.cluster(3, "--stages", "2", "--shards", "5")
        greedy = self.generated("--temperature", "0", "--max-tokens", "40")
        drawn = self.generated("--seed", "11", "--max-tokens", "40")
        for name, door in cluster.doors().items():
            with self.subTest(door=name):
                self.assertEqual(door.complete(prompt=PROMPT, temperature=0, max_tokens=40)[0].rstrip(), greedy.rstrip())
                self.assertEqual(door.complete(prompt=PROMPT, seed=11, max_tokens=40)[0].rstrip(), drawn.rstrip())
                self.assertEqual(len(set(door.complete(prompt=PROMPT, seed=11, max_tokens=20, n=3))), 3)
                self.assertEqual(door.get("/health/live")[0], 200)
                self.assertEqual(door.get("/health/ready")[0], 200)
                self.assertEqual(door.get("/health/progress")[0], 200)

    def test_two_nodes_with_one_copy_of_every_expert_are_a_cluster(self):
        cluster = self.cluster(2, "--shard-copies", "1")
        page = cluster.page("n1")
        self.assertEqual([len(copies) for copies in page["placement"]["expert_shards"]], [1, 1])
        self.assertEqual(sum(member["voter"] for member in page["members"]), 1)
        self.assertEqual(cluster.door("n1").complete(prompt=PROMPT, seed=3, max_tokens=20),
                         cluster.door("n0").complete(prompt=PROMPT, seed=3, max_tokens=20))


class losses(cluster_case):
    def test_a_killed_node_costs_no_stream_at_the_other_doors(self):
        expected = self.expected_streams(range(8))
        cluster = self.cluster(3)
        placement = cluster.page("n0")["placement"]
        victim = placement["attention_stages"][0]
        doors = [door for name, door in cluster.doors().items() if name != victim]
        streams = [Stream(doors[seed % 2], seed=seed, **LONG) for seed in range(8)]
        wait_until(lambda: all(stream.pieces >= 5 for stream in streams), "eight streams have begun")
        os.kill(cluster.nodes()[victim]["pid"], signal.SIGKILL)
        in_the_middle = sum(not stream.finished for stream in streams)
        for seed, stream in enumerate(streams):
            stream.join(60)
            self.assertIsNone(stream.trouble, f"stream {seed}")
            self.assertTrue(stream.finished, f"stream {seed}")
            self.assertEqual(stream.text, expected[seed], f"stream {seed}")
        self.assertGreater(in_the_middle, 0)

        self.assertEqual(cluster.call("status", code=1).returncode, 1)
        self.assertEqual(cluster.nodes()[victim]["state"], "ended")
        survivor = next(name for name in cluster.nodes() if name != victim)
        page = cluster.page(survivor)
        self.assertGreaterEqual(page["recoveries"]["count"], 1)
        self.assertEqual(page["recoveries"]["last"]["lost"], [victim])
        self.assertNotIn(victim, page["placement"]["attention_stages"])

        before = cluster.status()["epoch"]
        cluster.call("restart", victim)
        self.wait_for_state(cluster, victim, "serving")
        self.assertGreater(cluster.status()["epoch"], before)
        self.assertEqual(cluster.door(victim).complete(seed=1, **LONG)[0], expected[1])
        self.assertEqual(cluster.call("status").returncode, 0)

    def test_a_drained_node_hands_over_and_ends_with_code_0(self):
        expected = self.expected_streams(range(4))
        cluster = self.cluster(3)
        leaving = cluster.page("n0")["placement"]["attention_stages"][0]
        streams = [Stream(door, seed=seed, **LONG)
                   for seed, door in enumerate(list(cluster.doors().values()) + [cluster.door(leaving)])]
        wait_until(lambda: all(stream.pieces >= 5 for stream in streams), "four streams have begun")
        cluster.call("drain", leaving)
        for seed, stream in enumerate(streams):
            stream.join(60)
            self.assertIsNone(stream.trouble, f"stream {seed}")
            self.assertEqual(stream.text, expected[seed], f"stream {seed}")  # also at the door that closed
        self.assertIn("drained", cluster.log(leaving))
        cluster.call("restart", leaving)
        self.wait_for_state(cluster, leaving, "serving")

    def test_a_cluster_that_drains_as_a_whole_finishes_its_streams(self):
        expected = self.expected_streams(range(6))
        cluster = self.cluster(3)
        streams = [Stream(door, seed=seed, **LONG) for seed, door in enumerate(list(cluster.doors().values()) * 2)]
        wait_until(lambda: all(stream.pieces >= 5 for stream in streams), "six streams have begun")
        pids = [node["pid"] for node in cluster.nodes().values()]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        for seed, stream in enumerate(streams):
            stream.join(60)
            self.assertIsNone(stream.trouble, f"stream {seed}")
            self.assertEqual(stream.text, expected[seed], f"stream {seed}")
        wait_until(lambda: not any(alive(pid) for pid in pids), "all nodes have ended")
        for name in ("n0", "n1", "n2"):
            self.assertIn("drained: nothing depends on this node", cluster.log(name))

    def test_a_node_alone_finishes_its_streams_too(self):
        expected = self.expected_streams([4])
        file = self.lone_file()
        node = self.start("node", "--cluster", str(file), "--name", "a", "--form", "--http", "127.0.0.1:0", "--data-dir",
                          str(file.parent / "a"), TROUPE_CLUSTER_SECRET="a" * 64)
        stream = Stream(Door(node.url()), seed=4, **LONG)
        wait_until(lambda: stream.pieces >= 5, "a stream has begun")
        self.assertEqual(node.end(), 0)
        stream.join(10)
        self.assertEqual((stream.trouble, stream.text), (None, expected[4]))

    def test_a_cluster_that_was_down_goes_on_where_it_was(self):
        cluster = self.cluster(3)
        cluster.call("kill", "n2")
        wait_until(lambda: cluster.status()["epoch"] >= 2, "an epoch without n2")
        before = cluster.status()["epoch"]
        pids = [node["pid"] for node in cluster.nodes().values()]
        self.assertEqual(cluster.down().returncode, 0)
        self.assertFalse([pid for pid in pids if pid and alive(pid)])
        cluster.call("up", "--detach")
        self.assertGreater(cluster.status()["epoch"], before)
        self.assertEqual(len(cluster.nodes()), 3)

    def test_a_voter_that_lost_its_disk_asks_the_others(self):
        cluster = self.cluster(3)
        cluster.call("kill", "n1")
        for file in (cluster.folder / "n1").iterdir():
            if file.is_file():
                file.unlink()
        cluster.call("restart", "n1")
        self.wait_for_state(cluster, "n1", "serving")
        self.assertIn("holds no votes", cluster.log("n1"))
        # And its vote counts: without it n1 and n2 would be no majority.
        cluster.call("kill", "n0")
        wait_until(lambda: cluster.nodes()["n2"]["state"] == "serving" and
                   not next(member for member in cluster.page("n2")["members"] if member["name"] == "n0")["present"],
                   "n1 and n2 decide alone")


class coming_back(cluster_case):
    def broken_stream(self, cluster, name, key=None, **options):
        """A stream at this node, which is killed in the middle of it."""
        pid = cluster.nodes()[name]["pid"]
        stream = Stream(cluster.door(name), key, **{**LONG, "seed": 7, **options})
        wait_until(lambda: stream.pieces >= 5 or stream.trouble, "a stream has begun")
        self.assertIsNone(stream.trouble)
        os.kill(pid, signal.SIGKILL)
        stream.join(60)
        self.assertFalse(stream.finished)
        self.assertEqual(stream.kept, "cluster")
        return stream

    def rest(self, door, broken, **how):
        rest = Rest(door, broken, **how)
        rest.join(60)
        self.assertFalse(rest.is_alive())
        return rest

    def test_the_killed_nodes_stream_goes_on_at_every_other_by_its_id(self):
        expected = self.expected_streams([7])[7]
        cluster = self.cluster(3)
        doors = cluster.doors()
        broken = self.broken_stream(cluster, "n1")
        self.assertLess(len(broken.text), len(expected))
        for name in ("n0", "n2"):
            rest = self.rest(doors[name], broken)
            self.assertIsNone(rest.trouble, name)
            self.assertTrue(rest.finished, name)
            self.assertEqual(rest.id, broken.id)
            self.assertEqual(broken.text + rest.text, expected, name)
            whole = self.rest(doors[name], broken, after=False)
            self.assertEqual(whole.text, expected, name)
        cluster.call("restart", "n1")
        self.wait_for_state(cluster, "n1", "serving")
        self.assertEqual(broken.text + self.rest(doors["n1"], broken).text, expected, "it has its own journal")

    def test_a_chat_too_and_only_for_the_key_that_asked(self):
        folder = self.scratch()
        (folder / "keys").write_text("alpha\nbeta\n")
        (folder / "keys").chmod(0o600)
        cluster = self.cluster(2, "--voters", "1", TROUPE_API_KEY_FILE=str(folder / "keys"))
        doors = cluster.doors()
        broken = self.broken_stream(cluster, "n1", key="alpha", path="/v1/chat/completions",
                                    max_tokens=600, messages=[{"role": "user", "content": "Tell me a story"}])
        for key, status in ((None, 401), ("gamma", 401), ("beta", 404)):
            self.assertEqual(self.rest(doors["n0"], broken, key=key).status, status, key)
        whole, rest = (self.rest(doors["n0"], broken, key="alpha", after=after) for after in (False, True))
        self.assertTrue(rest.finished, rest.trouble)
        self.assertGreater(len(rest.text), 0)
        self.assertEqual(broken.text + rest.text, whole.text)

    def test_without_another_node_the_disk_has_to_do_and_nobody_waits_for_long(self):
        cluster = self.cluster(2, "--voters", "1")
        os.kill(cluster.nodes()["n1"]["pid"], signal.SIGKILL)
        wait_until(lambda: cluster.page("n0")["recoveries"]["count"] > 0, "n0 goes on alone")
        wait_until(lambda: cluster.nodes()["n0"]["state"] == "serving", "n0 serves")
        alone = Stream(cluster.door("n0"), seed=1, prompt=PROMPT, max_tokens=5)
        alone.join(60)
        self.assertTrue(alone.finished, alone.trouble)
        self.assertEqual(alone.kept, "disk")
        self.assertLess(alone.first_byte_s, 5)


class nodes(cluster_case):
    def join(self, cluster, *more, **variables):
        seed = next(line.split()[1] for line in (cluster.folder / "n0.process").read_text().splitlines()
                    if line.startswith("listen"))
        words = ["node", "--join", seed, "--data-dir", str(self.scratch() / "data")]
        return self.start(*words, *more, **variables)

    def test_added_nodes_take_spare_names_and_part(self):
        cluster = self.cluster(2, "--spare", "2")
        cluster.call("add")
        self.wait_for_state(cluster, "n2", "serving")
        self.assertEqual(cluster.door("n2").complete(prompt=PROMPT, seed=5, max_tokens=20),
                         cluster.door("n0").complete(prompt=PROMPT, seed=5, max_tokens=20))
        by_hand = self.join(cluster, "--secret-file", str(cluster.folder / "secret"))
        self.assertIn("node n3 of cluster development", by_hand.wait_for("ready http"))
        self.assertEqual(by_hand.end(), 0)
        self.assertIn("drained", by_hand.said())
        self.assertIn("was added already", cluster.call("add", "n2", code=2).stderr)
        self.assertIn("is no spare name", cluster.call("add", "x", code=2).stderr)
        cluster.call("add", "n3")
        self.assertIn("all spare nodes run", cluster.call("add", code=2).stderr)
        for name in ("n2", "n3"):  # one that was killed is started again
            cluster.call("kill", name)
            self.assertIn("ready %s " % name, cluster.call("add").stderr)

    def test_a_stranger_without_the_secret_gets_nothing(self):
        cluster = self.cluster(1)
        stranger = self.join(cluster, TROUPE_CLUSTER_SECRET="f" * 64)
        time.sleep(1.5)
        self.assertNotIn("ready", stranger.said())
        stranger.end(signal.SIGKILL)
        nobody = self.join(cluster)
        self.assertEqual(nobody.wait(), 2)
        self.assertIn("no secret of the cluster is given", nobody.said())
        page = cluster.page("n0")
        self.assertEqual([member["name"] for member in page["members"] if member["present"]], ["n0"])

    def test_the_secret_is_kept(self):
        cluster = self.cluster(1)
        secret = (cluster.folder / "secret").read_text().strip()
        pid = cluster.nodes()["n0"]["pid"]
        self.assertNotIn(secret, Path(f"/proc/{pid}/cmdline").read_text())
        self.assertNotIn(secret, cluster.log("n0"))
        self.assertNotIn(secret, cluster.call("status").stdout)
        open_file = self.scratch() / "secret"
        open_file.write_text(secret)
        open_file.chmod(0o644)
        refused = self.join(cluster, "--secret-file", str(open_file))
        self.assertEqual(refused.wait(), 2)
        self.assertIn("chmod 600", refused.said())
        flag = self.join(cluster, "--secret", secret)
        self.assertEqual(flag.wait(), 2)

    def test_a_later_start_of_a_node_ends_the_earlier_one(self):
        cluster = self.cluster(3)
        pid = cluster.nodes()["n2"]["pid"]
        again = self.start("node", "--cluster", str(cluster.folder / "cluster.toml"), "--name", "n2", "--http", "127.0.0.1:0",
                           "--listen", "127.0.0.1:0", "--advertise", "127.0.0.1:1", "--data-dir", str(self.scratch() / "d"))
        wait_until(lambda: not alive(pid), "the earlier n2 ends")
        self.assertIn("cannot go on", cluster.log("n2"))
        again.wait_for("ready http")
        self.assertEqual(again.end(), 0)

    def test_the_second_signal_is_immediate(self):
        cluster = self.cluster(1)
        node = self.join(cluster, "--secret-file", str(cluster.folder / "secret"))
        door = Door(node.url())
        stream = Stream(door, seed=1, **{**LONG, "max_tokens": 900})
        wait_until(lambda: stream.pieces >= 3, "a stream has begun")
        node.send(signal.SIGTERM)
        node.wait_for("draining")
        self.assertEqual(door.get("/health/ready")[0], 503)
        self.assertEqual(door.get("/health/live")[0], 200)
        self.assertEqual(node.end(), 128 + signal.SIGTERM)

    def test_draining_that_takes_too_long_says_so(self):
        cluster = self.cluster(1)
        node = self.join(cluster, "--secret-file", str(cluster.folder / "secret"), "--drain-timeout", "0")
        stream = Stream(Door(node.url()), seed=1, **{**LONG, "max_tokens": 900})
        wait_until(lambda: stream.pieces >= 3, "a stream has begun")
        self.assertEqual(node.end(), 4)
        self.assertIn("--drain-timeout", node.said())

    def test_a_drain_is_as_patient_as_it_is_told_to_be(self):
        cluster = self.cluster(2, "--voters", "1")
        streams = [Stream(cluster.door("n1"), seed=seed, **{**LONG, "max_tokens": 900}) for seed in range(8)]
        wait_until(lambda: all(stream.pieces >= 3 for stream in streams), "streams have begun")
        refused = cluster.call("drain", "n1", "--drain-timeout", "0", code=1)
        self.assertIn("n1 was not drained within 0 s (--drain-timeout)", refused.stderr)
        self.assertIn("draining took longer than 0 s", cluster.log("n1"))
        self.assertEqual(cluster.nodes()["n1"]["state"], "ended")

    def test_a_node_with_another_model_does_not_take_part(self):
        cluster = self.cluster(2, "--spare", "1")
        model = self.scratch() / "tales"
        shutil.copytree(ROOT / "models" / "tales", model)
        name = next(model.glob("*.safetensors"))
        weights = bytearray(name.read_bytes())
        weights[-1] ^= 1
        name.chmod(0o600)
        name.write_bytes(weights)
        other = self.join(cluster, "--secret-file", str(cluster.folder / "secret"), "--model", str(model))
        self.assertEqual(other.wait(), 3, other.said())
        self.assertRegex(other.said(), "nodes n2 and n[01] cannot work together: their models differ")
        wait_until(lambda: any(f"nodes {name} and n2 cannot work together" in cluster.log(name) for name in ("n0", "n1")),
                   "a node of the cluster says so too")
        page = cluster.page("n0")
        self.assertEqual([member["name"] for member in page["members"] if member["present"]], ["n0", "n1"])
        self.join(cluster, "--secret-file", str(cluster.folder / "secret"), "--name", "n2").url()  # with the right one

    def test_what_cannot_be_is_refused_before_anything_is_opened(self):
        folder = self.scratch()
        (folder / "c.toml").write_text("[[node]]\nname = \"a\"\nadress = \"127.0.0.1:1\"\n")
        cases = [(["--cluster", str(folder / "c.toml"), "--name", "a"], "c.toml:3:1: adress is no setting of [[node]]"),
                 (["--cluster", str(folder / "none.toml"), "--name", "a"], "none.toml"),
                 (["--name", "a"], "--cluster FILE"),
                 (["--join", "127.0.0.1:1", "--transport-encryption", "off"], "--trusted-network"),
                 (["--join", "nonsense"], "--join is nonsense; it must be HOST:PORT")]
        for words, message in cases:
            with self.subTest(message=message):
                done = self.run_program("node", *words)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(message, done.stderr)


class placement(cluster_case):
    def test_a_node_without_room_plays_nothing_and_gives_the_same_bytes(self):
        cluster = self.cluster(3)
        expected = cluster.door("n0").complete(seed=5, **LONG)
        cluster.down()
        file = cluster.folder / "cluster.toml"
        file.write_text(file.read_text().replace('name = "n1"\n', 'name = "n1"\nmemory = "1M"\n'))
        cluster.call("up", "--detach")
        page = cluster.page("n0")
        members = {member["name"]: member for member in page["members"]}
        self.assertEqual(members["n1"]["memory"], 1 << 20)
        self.assertEqual(members["n1"]["roles"], [])
        self.assertTrue(members["n1"]["serving"])
        for name in ("n0", "n2"):
            self.assertGreater(members[name]["memory_roles"], 1 << 20)
            self.assertLessEqual(members[name]["memory_roles"], members[name]["memory"])
            self.assertGreater(members[name]["speed"], 0)
        self.assertEqual(cluster.door("n1").complete(seed=5, **LONG), expected)
        wait_until(lambda: sum(cluster.page("n0")["placement"]["shard_rows"]) > 0, "rows of shards are counted")

    def test_a_cluster_that_fits_nowhere_says_what_is_missing(self):
        file, http = self.lone_file(), f"127.0.0.1:{32100 + os.getpid() % 600}"
        node = self.start("node", "--cluster", str(file), "--name", "a", "--form", "--memory", "2M", "--http", http,
                          "--data-dir", str(file.parent / "a"), TROUPE_ADMIN_KEY="k", TROUPE_CLUSTER_SECRET="a" * 64)
        node.wait_for("no room for the model: one copy of everything needs ")
        self.assertIn("a has 2097152; ", node.said())
        door = Door(f"http://{http}")
        self.assertEqual(door.get("/health/ready")[0], 503)
        self.assertIn("bytes are missing in all", json.loads(door.get("/admin/cluster", "k")[1])["placement"]["no_room"])
        self.assertEqual(door.ask("POST", "/v1/completions", {"model": "tales", "prompt": PROMPT})[0], 503)
        self.assertEqual(node.end(), 0)


class commands(cluster_case):
    def test_the_admin_key_alone_opens_the_page(self):
        cluster = self.cluster(1)
        door = cluster.door("n0")
        self.assertEqual(door.get("/admin/cluster")[0], 401)
        self.assertEqual(door.get("/admin/cluster", "nonsense")[0], 401)
        page = cluster.page("n0")
        self.assertEqual(page["self"], "n0")
        self.assertTrue(page["serving"])
        self.assertIn("sequencer/0", page["members"][0]["roles"])
        without = self.start("node", "--cluster", str(self.lone_file()), "--name", "a", "--form", "--data-dir",
                             str(self.scratch() / "d"), TROUPE_CLUSTER_SECRET="a" * 64)
        self.assertEqual(Door(without.url()).get("/admin/cluster", "nonsense")[0], 403)
        self.assertEqual(without.end(), 0)

    def test_in_the_foreground_it_stays_until_it_is_interrupted(self):
        folder = self.scratch() / "c"
        cluster = Cluster(PROGRAM, folder)
        self.addCleanup(cluster.down)
        up = self.start("cluster", "up", "--nodes", "2", "--dir", str(folder))
        up.wait_for("Ctrl-C takes it down")
        pids = [node["pid"] for node in cluster.nodes().values()]
        cluster.call("kill", "n1")
        up.wait_for("node n1 was ended by signal 9")
        self.assertEqual(up.end(signal.SIGINT), 0)
        self.assertIn("down: 2 nodes", up.said())
        self.assertFalse([pid for pid in pids if alive(pid)])

    def test_a_stale_note_harms_nobody(self):
        cluster = self.cluster(1)
        pid = cluster.nodes()["n0"]["pid"]
        victim = subprocess.Popen(["sleep", "60"])
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        note = cluster.folder / "n0.process"
        honest = note.read_text()
        note.write_text(honest.replace(f"pid {pid}\n", f"pid {victim.pid}\n"))
        self.assertEqual(cluster.nodes()["n0"]["state"], "ended")
        self.assertIn("does not run", cluster.call("kill", "n0", code=1).stderr)
        cluster.down()
        self.assertIsNone(victim.poll())
        note.write_text(honest)
        self.assertEqual(cluster.down().returncode, 0)
        self.assertFalse(alive(pid))

    def test_top_prints_one_look_for_scripts(self):
        cluster = self.cluster(2)
        cluster.door("n1").complete(prompt=PROMPT, seed=1, max_tokens=5)
        seen = self.run_program("top", "--once", "--dir", str(cluster.folder))
        self.assertEqual(seen.returncode, 0, seen.stderr)
        self.assertRegex(seen.stdout, r"epoch \d+ serves; 2 nodes take part")
        self.assertRegex(seen.stdout, r"n1 +serving")
        self.assertRegex(seen.stdout, r"load per expert, all layers: [1-9]")
        through_one = self.run_program("top", "--once", "--url", "http://" + cluster.door("n0").host, "--admin-key-file",
                                       str(cluster.folder / "admin.key"))
        self.assertRegex(through_one.stdout, r"n1 +member")

    def test_what_is_not_there_is_named(self):
        cluster = self.cluster(1)
        self.assertIn("no node called", cluster.call("kill", "n7", code=2).stderr)
        self.assertIn("which node?", cluster.call("drain", code=2).stderr)
        self.assertIn("runs already", cluster.call("up", "--detach", code=1).stderr)
        nowhere = Cluster(PROGRAM, self.scratch() / "none")
        for command in ("status", "down", "add"):
            self.assertIn("holds no cluster", nowhere.call(command, code=2).stderr)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(f"usage: {sys.argv[0]} PROGRAM [unittest arguments]")
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=1)
