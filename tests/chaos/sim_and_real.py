#!/usr/bin/env python3
# The simulator's scenarios on real processes: the plan of a seed is carried out with real signals at its own times,
# and what recoveries took there stands beside what the simulation says.
#
#   tests/chaos/sim_and_real.py --program build/release/bin/troupe --seeds 1..8
#
# Only faults that a signal can make are carried out; the table says how many were left out.
# Exit codes: 0 all streams complete and identical; 1 not so; 2 wrong usage or no cluster.
import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import tomllib

import figures
from dev_cluster import ClusterFailed, DevCluster
from faults import Fault, Injector
from load import Load, undisturbed

SCENARIOS = ["node_loss", "pause_zombie", "drain", "coordinator_loss"]
# What the simulator calls them, and what stands for them here.
SIGNALS = {"F03": "kill", "F05": "kill", "F07": "pause", "F09": "drain", "F70": "kill"}
PARTS = ["detect", "decide", "restore", "refill"]


def seconds(text):
    for unit, factor in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ClusterFailed(f"a time of the plan is not understood: {text}")


def plan_of(program, scenario, seed, nodes):
    """The faults of the seed: (those that can be made here with when they strike, how many cannot)."""
    done = subprocess.run([program, "simulate", "expand", scenario, str(seed), "--nodes", str(nodes)], capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise ClusterFailed(f"simulate expand {scenario} {seed}: {done.stderr}")
    out, left_out = [], 0
    for fault in tomllib.loads(done.stdout).get("fault", []):
        kind = SIGNALS.get(fault["id"])
        if kind is None or "at" not in fault:
            left_out += 1
            continue
        away = fault.get("settings", {}).get("restart_after_ms", 500) / 1000
        lasts = seconds(fault["lasts"]) if "lasts" in fault else away
        out.append((seconds(fault["at"]), Fault(kind=kind, node=fault.get("node", 0) % nodes, pause_s=0, lasts_s=lasts)))
    return out, left_out


def simulated(program, scenario, nodes, seeds):
    done = subprocess.run([program, "simulate", "run", "--scenario", scenario, "--nodes", str(nodes), "--seeds", seeds, "--json"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterFailed(f"simulate run --scenario {scenario}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)["recoveries"]


async def strike_all(injector, plan):
    async def later(at, fault):
        await asyncio.sleep(at)
        await injector.strike(fault)
        injector.struck.append(fault)

    busy = set()
    tasks = []
    for at, fault in sorted(plan, key=lambda each: each[0]):
        if fault.node in busy:
            continue  # a process can only be killed once at a time
        busy.add(fault.node)
        tasks.append(asyncio.create_task(later(at, fault)))
    await asyncio.gather(*tasks)
    well = await injector.wait_until_well()
    for fault in injector.struck:
        fault.well = fault.well or well


def row(scenario, where, count, cells):
    return f"| {scenario} | {where} | {count} | " + " | ".join(cells) + " |"


async def run(options, folder):
    first, last = (int(part) for part in options.seeds.split(".."))
    expected = await undisturbed(options.program, 14, 120)
    rows, failed = [], False
    for scenario in options.scenario or SCENARIOS:
        sim = simulated(options.program, scenario, options.nodes, options.simulated_seeds)
        cells = [f"{sim[part]['p50_ms']:.0f} / {sim[part]['p99_ms']:.0f}" for part in PARTS]
        rows.append(row(scenario, f"simulated, seeds {options.simulated_seeds}", sim["count"], cells))
        cluster = DevCluster(options.program, f"{folder}/{scenario}", options.nodes)
        try:
            cluster.up()
            injector = Injector(cluster, [])
            load = Load(cluster, expected, options.streams, 1)
            stop = asyncio.Event()
            working = asyncio.create_task(load.run(stop))
            await asyncio.sleep(1)
            left_out = 0
            for seed in range(first, last + 1):
                plan, missing = plan_of(options.program, scenario, seed, options.nodes)
                left_out += missing
                await strike_all(injector, plan)
            stop.set()
            await working
        finally:
            cluster.down()
        columns = list(map(list, zip(*(split for _, split in injector.parts)))) or [[] for _ in PARTS]
        cells = [f"{figures.percentile(c, 50) / 1e6:.0f} / {figures.percentile(c, 99) / 1e6:.0f}" for c in columns]
        rows.append(row(scenario, f"real, seeds {options.seeds}, {len(injector.struck)} faults ({left_out} left out)",
                        len(injector.parts), cells))
        failed = failed or bool(load.lost or load.different or injector.trouble)
        print(f"{scenario}: {len(load.answers)} streams, {len(load.lost)} lost, {len(load.different)} different"
              + "".join(f"\n  trouble: {each}" for each in injector.trouble), file=sys.stderr)
    print("| scenario | where | recoveries | detect p50 / p99 ms | decide | restore | refill |\n|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description="The simulator's scenarios on real processes.")
    parser.add_argument("--program", required=True)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--seeds", default="1..6", help="A..B, carried out on real processes")
    parser.add_argument("--simulated-seeds", default="1..300")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--streams", type=int, default=8)
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="troupe-sim-real-") as folder:
            return asyncio.run(run(options, folder))
    except ClusterFailed as why:
        print(f"sim_and_real: {why}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
