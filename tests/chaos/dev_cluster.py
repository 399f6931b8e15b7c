# A development cluster of real processes, by the program's own commands, and a single node to compare with.
import asyncio
import json
import os
import signal
import subprocess
import time

import event_stream


class ClusterFailed(Exception):
    pass


class DevCluster:
    def __init__(self, program, folder, nodes, extra=()):
        self.program, self.folder, self.nodes, self.extra = program, str(folder), nodes, list(extra)
        self.names, self.urls, self.pids = [], {}, {}
        self.guest, self.guest_serves = None, False  # a node that comes and goes, under a spare name

    def call(self, *words, check=True, timeout=180):
        done = subprocess.run([self.program, "cluster", *words, "--dir", self.folder], capture_output=True, text=True,
                              timeout=timeout)
        if check and done.returncode != 0:
            raise ClusterFailed(f"cluster {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
        return done

    def up(self):
        self.call("up", "--nodes", str(self.nodes), "--detach", *self.extra)
        self.look()
        self.admin_key = self._admin_key()

    def down(self):
        return self.call("down", check=False)

    def look(self):
        seen = json.loads(self.call("status", "--json", check=False).stdout)
        self.names = [node["name"] for node in seen["nodes"] if node["name"] != self.guest]
        for node in seen["nodes"]:
            self.urls[node["name"]] = node["url"]
            self.pids[node["name"]] = node["pid"]
        return seen

    def _admin_key(self):
        path = os.path.join(self.folder, "admin.key")
        with open(path, encoding="utf-8") as file:
            return file.read().strip()

    def doors(self):
        return [self.urls[name] for name in self.names + [self.guest] * self.guest_serves]

    def pid(self, name):
        return self.pids[name]

    async def restart(self, name):
        await self.command("restart", name)
        await asyncio.to_thread(self.look)

    async def command(self, *words):
        process = await asyncio.create_subprocess_exec(
            self.program, "cluster", *words, "--dir", self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _, err = await process.communicate()
        if process.returncode != 0:
            raise ClusterFailed(f"{' '.join(words)}: exit code {process.returncode}\n{err.decode()}")

    async def join(self):
        """One node more, which takes clients, too."""
        before = list(self.names)
        await self.command(*(["restart", self.guest] if self.guest else ["add"]))
        await asyncio.to_thread(self.look)
        if self.guest is None:
            self.guest = next(name for name in self.names if name not in before)
            self.names.remove(self.guest)
        self.guest_serves = True

    async def leave(self, within_s):
        """It hands over what it has; whether its process has ended."""
        self.guest_serves = False
        os.kill(self.pids[self.guest], signal.SIGTERM)
        return await self.ended(self.guest, within_s)

    async def ended(self, name, within_s):
        """Waits until the process has ended; whether it did. (Its exit code is its parent's to know.)"""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if not alive(self.pids[name]):
                return True
            await asyncio.sleep(0.02)
        return False

    async def picture(self, name):
        """/admin/cluster of one node; None when it does not answer."""
        try:
            status, body = await event_stream.request(self.urls[name], "GET", "/admin/cluster", None,
                                                      {"Authorization": f"Bearer {self.admin_key}"}, 2)
        except (OSError, EOFError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            return None
        return json.loads(body) if status == 200 else None

    async def all_ready(self):
        seen = await asyncio.gather(*(self.picture(name) for name in self.names))
        if not all(one is not None and one["serving"] for one in seen):
            return False
        present = [sum(member["present"] for member in one["members"]) for one in seen]
        return len({one["epoch"] for one in seen}) == 1 and min(present) >= len(self.names)

    def usage(self):
        """Resident KiB and open descriptors of every node."""
        out = {}
        for name, pid in self.pids.items():
            try:
                with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                    resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
                out[name] = (resident, len(os.listdir(f"/proc/{pid}/fd")))
            except (OSError, StopIteration):
                continue
        return out


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class SingleNode:
    """`troupe serve`, undisturbed."""

    def __init__(self, program, *flags):
        self.process = subprocess.Popen([program, "serve", "--port", "0", *flags], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if line.startswith("ready "):
                self.url = line.split()[1]
                return
        raise ClusterFailed(f"serve ended with exit code {self.process.wait()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
