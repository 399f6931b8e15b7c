# Nodes in network namespaces of their own, tied by veth pairs to a bridge, so that links can be cut and
# made lossy. Needs root; the children of this process are the nodes, so their exit codes are known.
import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import time

from dev_cluster import ClusterFailed, DevCluster

NET = "10.77.0"


def why_not():
    """Why namespaces cannot be had here; empty: they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nft"):
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    probe = f"troupe-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode != 0:
        return f"ip netns add: {made.stderr.strip()}"
    rules = subprocess.run(["ip", "netns", "exec", probe, "nft", "add", "table", "inet", "probe"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return "" if rules.returncode == 0 else f"nft: {rules.stderr.strip()}"


def has_netem():
    """Whether this kernel can make a link slow by itself."""
    device = f"trprobe{os.getpid() % 10000}"
    if subprocess.run(["ip", "link", "add", device, "type", "dummy"], capture_output=True).returncode != 0:
        return False
    done = subprocess.run(["tc", "qdisc", "add", "dev", device, "root", "netem", "delay", "1ms"], capture_output=True)
    subprocess.run(["ip", "link", "del", device], check=False)
    return done.returncode == 0


def why_no_delays():
    """Why links cannot be made slow here; empty: they can."""
    if (shutil.which("tc") and has_netem()) or os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return ""
    return "this kernel has neither netem nor /dev/net/tun: links cannot be made slow"


def sh(words):
    done = subprocess.run(words.split(), capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterFailed(f"{words}: {done.stderr.strip()}")


class NetnsCluster(DevCluster):
    def __init__(self, program, folder, nodes, extra=(), slow_links=False):
        super().__init__(program, folder, nodes, extra)
        self.cables = {} if slow_links and not has_netem() else None  # our own, where the kernel's cannot be slow
        self.names = [f"n{i}" for i in range(nodes)]
        self.tag = f"tr{os.getpid() % 10000}"
        self.processes, self.logs = {}, {}

    def _space(self, name):
        return f"{self.tag}-{name}"

    def address(self, name):
        return f"{NET}.{10 + self.names.index(name)}"

    def up(self):
        os.makedirs(self.folder, exist_ok=True)
        self._write("secret", secrets.token_hex(32))
        self.admin_key = secrets.token_hex(16)
        self._write("admin.key", self.admin_key)
        self._write("cluster.toml", self._file())
        sh(f"ip link add {self.tag}br type bridge")
        sh(f"ip addr add {NET}.1/24 dev {self.tag}br")
        sh(f"ip link set {self.tag}br up")
        for name in self.names:
            self._make_space(name)
        for name in self.names:
            self._start(name, form=True)
        self._wait(self.names)

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")

    def _file(self):
        lines = ['cluster = "netns"', 'secret_file = "secret"', f"voters = {min(3, len(self.names))}", "shard_copies = 2"]
        for name in self.names:
            self.urls[name] = f"http://{self.address(name)}:8000"
            lines += ["[[node]]", f'name = "{name}"', f'address = "{self.address(name)}:7101"', f'http = "{self.address(name)}:8000"']
        return "\n".join(lines)

    def _make_space(self, name):
        space, outer = self._space(name), f"{self.tag}{name}"
        sh(f"ip netns add {space}")
        if self.cables is None:
            sh(f"ip link add {outer} type veth peer name eth0 netns {space}")
        else:
            self._lay_cable(name, outer, space)
        sh(f"ip link set {outer} master {self.tag}br up")
        sh(f"ip netns exec {space} ip link set lo up")
        sh(f"ip netns exec {space} ip addr add {self.address(name)}/24 dev eth0")
        sh(f"ip netns exec {space} ip link set eth0 up")

    def _lay_cable(self, name, outer, space):
        inner = f"{outer}i"
        words = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "slow_link.py"), outer, inner]
        self.cables[name] = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.cables[name].stdout.readline() != "ready\n":
            raise ClusterFailed(f"no TAP devices {outer} and {inner}")
        sh(f"ip link set {inner} netns {space}")
        sh(f"ip netns exec {space} ip link set {inner} name eth0")

    def _start(self, name, form=False):
        words = ["ip", "netns", "exec", self._space(name), self.program, "node", "--cluster",
                 os.path.join(self.folder, "cluster.toml"), "--name", name, "--data-dir", os.path.join(self.folder, name),
                 "--admin-key-file", os.path.join(self.folder, "admin.key"), "--allow-open-network", "--log-level", "info",
                 *self.extra]
        log = open(os.path.join(self.folder, f"{name}.log"), "a", encoding="utf-8")
        # `ip netns exec` becomes the program, so the process is the node itself.
        self.processes[name] = subprocess.Popen(words + (["--form"] if form else []), stderr=log, stdout=log)
        log.close()
        self.pids[name] = self.processes[name].pid

    def _wait(self, names, within_s=30):
        deadline = time.monotonic() + within_s
        for name in names:
            while time.monotonic() < deadline and not self._ready(name):
                if (code := self.processes[name].poll()) is not None:
                    raise ClusterFailed(f"{name} ended with exit code {code}:\n{self._tail(name)}")
                time.sleep(0.05)
            if not self._ready(name):
                raise ClusterFailed(f"{name} does not serve within {within_s} s:\n{self._tail(name)}")

    def _ready(self, name):
        return subprocess.run(["curl", "-sf", "-m", "1", "-o", "/dev/null", f"{self.urls[name]}/health/ready"]).returncode == 0

    def _tail(self, name):
        with open(os.path.join(self.folder, f"{name}.log"), encoding="utf-8") as file:
            return "".join(file.readlines()[-8:])

    async def restart(self, name):
        await asyncio.to_thread(self.processes[name].wait)
        self._start(name)

    async def ended(self, name, within_s):
        try:
            code = await asyncio.to_thread(self.processes[name].wait, within_s)
        except subprocess.TimeoutExpired:
            return False
        if code != 0:
            raise ClusterFailed(f"{name} ended with exit code {code}:\n{self._tail(name)}")
        return True

    def cut(self, name, away):
        sh(f"ip link set {self.tag}{name} {'down' if away else 'up'}")

    def delay(self, name, delay_ms, jitter_ms):
        """Every packet from and to the node is late by so much; 0: none any more."""
        if self.cables is not None:
            self.cables[name].stdin.write(f"{delay_ms} {jitter_ms}\n")
            return self.cables[name].stdin.flush()
        for where, device in (("", f"{self.tag}{name}"), (f"ip netns exec {self._space(name)} ", "eth0")):
            if delay_ms == 0:
                sh(f"{where}tc qdisc del dev {device} root")
            else:
                sh(f"{where}tc qdisc replace dev {device} root netem delay {delay_ms}ms {jitter_ms}ms")

    def lose(self, name, percent):
        """Drops so many of the packets that come in; 0: none any more."""
        space = self._space(name)
        if percent == 0:
            return sh(f"ip netns exec {space} nft delete table inet lossy")
        sh(f"ip netns exec {space} nft add table inet lossy")
        sh(f"ip netns exec {space} nft add chain inet lossy in {{ type filter hook input priority 0 ; }}")
        sh(f"ip netns exec {space} nft add rule inet lossy in iifname eth0 numgen random mod 100 < {percent} drop")

    def down(self):
        for name, process in self.processes.items():
            process.kill()
            process.wait()
        for cable in (self.cables or {}).values():
            cable.kill()
            cable.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "del", self._space(name)], capture_output=True)
            subprocess.run(["ip", "link", "del", f"{self.tag}{name}"], capture_output=True)
        subprocess.run(["ip", "link", "del", f"{self.tag}br"], capture_output=True)
