# What is done to the nodes, and when: a plan that follows from a seed, and the signals that carry it out.
import asyncio
import os
import random
import signal
import time
from datetime import datetime, timezone
from dataclasses import dataclass, field


@dataclass
class Fault:
    kind: str
    node: int  # place in the cluster's list
    pause_s: float  # before it, with everything well
    lasts_s: float  # until the node is let go or started again
    struck: float = 0.0  # monotonic seconds
    url: str = ""  # its door
    clock: str = ""  # of the day, as logs have it
    over: float = 0.0
    well: float = 0.0  # everything serves again


# Weights as in a bad month: processes die more often than anything else.
KINDS = {"kill": 5, "pause": 3, "drain": 2, "join": 2}
# … and on links, where nodes have some of their own.
LINK_KINDS = {"cut": 4, "loss": 3, "delay": 3}
LOSS_PERCENT = 20
DELAY_MS, JITTER_MS = 60, 20  # each way


def plan(seed, nodes, seconds, kinds=None):
    """Faults until `seconds` are over; the same seed gives the same plan."""
    draw = random.Random(seed)
    known = {**KINDS, **LINK_KINDS}
    weights = {kind: known[kind] for kind in (kinds or KINDS)}
    out, at = [], 0.0
    while True:
        fault = Fault(kind=draw.choices(list(weights), list(weights.values()))[0], node=draw.randrange(nodes),
                      pause_s=draw.uniform(0.5, 4.0), lasts_s=draw.uniform(0.3, 3.0))
        at += fault.pause_s + fault.lasts_s
        if at > seconds:
            return out
        out.append(fault)


@dataclass
class Injector:
    cluster: object
    faults: list
    overlapping: bool = False
    well_within_s: float = 30.0
    struck: list = field(default_factory=list)
    trouble: list = field(default_factory=list)
    parts: list = field(default_factory=list)  # (kind, nanoseconds of detect, decide, restore, refill)

    async def run(self, stop):
        if self.overlapping:
            return await self.run_overlapping()
        for fault in self.faults:
            await asyncio.sleep(fault.pause_s)
            if stop.is_set():
                return
            await self.strike(fault)
            self.struck.append(fault)
            fault.well = await self.wait_until_well()

    async def run_overlapping(self):
        """Nobody waits until all is well: the next fault comes while nodes are away, and may leave no majority."""
        under_way = {}
        for fault in self.faults:
            await asyncio.sleep(fault.pause_s)
            who = "guest" if fault.kind == "join" else fault.node
            if who in under_way and not under_way[who].done():
                continue
            under_way[who] = asyncio.create_task(self.strike(fault))
            self.struck.append(fault)
        await asyncio.gather(*under_way.values())
        well = await self.wait_until_well()
        for fault in self.struck:
            fault.well = well

    async def strike(self, fault):
        """Does it, until the node is let go or started again, and asks the others what they know of the recovery."""
        watcher = asyncio.create_task(self.watch(fault))
        try:
            await self.harm(fault)
        finally:
            await watcher

    async def watch(self, fault):
        """Split of the first recovery after the fault, from whoever suspected first."""
        struck = time.monotonic_ns()
        if fault.kind in ("drain", "join"):
            return
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            for name in self.cluster.names:
                if name == self.cluster.names[fault.node]:
                    continue
                picture = await self.cluster.picture(name)
                last = picture and picture["recoveries"]["last"]
                if not last or last["moments_ns"]["served"] < struck:
                    continue
                at = last["moments_ns"]
                if at["suspected"] is None or at["suspected"] < struck or at["flowing"] is None:
                    continue
                self.parts.append((fault.kind, [at["suspected"] - struck, at["known"] - at["suspected"],
                                                at["served"] - at["known"], at["flowing"] - at["served"]]))
                return

    async def come_and_go(self, fault):
        fault.struck = time.monotonic()
        fault.clock = datetime.now(timezone.utc).strftime("%H:%M:%S.%f")[:-3]
        await self.cluster.join()
        fault.url = self.cluster.urls[self.cluster.guest]
        await asyncio.sleep(fault.lasts_s)
        if not await self.cluster.leave(self.well_within_s):
            self.trouble.append(f"{self.cluster.guest} has not drained within {self.well_within_s} s")
        fault.over = time.monotonic()

    async def harm(self, fault):
        if fault.kind == "join":
            return await self.come_and_go(fault)
        name = self.cluster.names[fault.node]
        pid = self.cluster.pid(name)
        fault.url = self.cluster.urls[name]
        fault.struck = time.monotonic()
        fault.clock = datetime.now(timezone.utc).strftime("%H:%M:%S.%f")[:-3]
        if fault.kind == "kill":
            os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(fault.lasts_s)
            await self.cluster.restart(name)
        elif fault.kind == "pause":
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(fault.lasts_s)
            os.kill(pid, signal.SIGCONT)
        elif fault.kind == "drain":
            os.kill(pid, signal.SIGTERM)
            if not await self.cluster.ended(name, self.well_within_s):
                self.trouble.append(f"{name} has not drained within {self.well_within_s} s")
            await self.cluster.restart(name)
        elif fault.kind == "cut":
            self.cluster.cut(name, True)
            await asyncio.sleep(fault.lasts_s)
            self.cluster.cut(name, False)
        elif fault.kind == "loss":
            self.cluster.lose(name, LOSS_PERCENT)
            await asyncio.sleep(fault.lasts_s)
            self.cluster.lose(name, 0)
        elif fault.kind == "delay":
            self.cluster.delay(name, DELAY_MS, JITTER_MS)
            await asyncio.sleep(fault.lasts_s)
            self.cluster.delay(name, 0, 0)
        fault.over = time.monotonic()

    async def wait_until_well(self):
        deadline = time.monotonic() + self.well_within_s
        while time.monotonic() < deadline:
            if await self.cluster.all_ready():
                return time.monotonic()
            await asyncio.sleep(0.1)
        self.trouble.append(f"not all nodes serve {self.well_within_s} s after a fault")
        return time.monotonic()
