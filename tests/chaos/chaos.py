#!/usr/bin/env python3
# Random faults on a cluster of real processes under load, every stream compared with an undisturbed node.
#
#   tests/chaos/chaos.py --program build/release/bin/troupe --seconds 600 --streams 32 --seed 1
#
# Exit codes: 0 all streams complete and identical; 1 not so; 2 wrong usage or no cluster; 77 no namespaces here.
import argparse
import asyncio
import sys
import tempfile
import time

import figures
import netns_cluster
from dev_cluster import ClusterFailed, DevCluster
from faults import Injector, KINDS, LINK_KINDS, plan
from load import Load, undisturbed


SKIPPED = 77
SAMPLE_S = 2.0  # between two looks at what nodes use


def arguments():
    out = argparse.ArgumentParser(description="Faults on a cluster of real processes, every stream compared.")
    out.add_argument("--program", required=True, help="the troupe program")
    out.add_argument("--nodes", type=int, default=3)
    out.add_argument("--streams", type=int, default=32, help="at the same time")
    out.add_argument("--requests", type=int, default=42, help="different ones")
    out.add_argument("--tokens", type=int, default=160, help="of the longest answers")
    out.add_argument("--seconds", type=float, default=60)
    out.add_argument("--seed", type=int, default=1)
    out.add_argument("--fault", action="append", choices=sorted({**KINDS, **LINK_KINDS}),
                     help="only these; of links only with --netns, joins only without")
    out.add_argument("--netns", action="store_true", help="nodes in network namespaces, with faults on links (root)")
    out.add_argument("--overlapping", action="store_true", help="the next fault does not wait until all is well")
    out.add_argument("--no-faults", action="store_true", help="a soak: nothing may be recovered from")
    out.add_argument("--dir", help="folder of the cluster; kept (default: a temporary one)")
    out.add_argument("--up", action="append", default=[], metavar="FLAG", help="more flags of cluster up")
    out.add_argument("--verbose", action="store_true", help="a line for each fault")
    return out.parse_args()


async def moments(cluster):
    """The last recovery as each node has seen it."""
    out = {}
    for name in cluster.names:
        if picture := await cluster.picture(name):
            out[name] = picture["recoveries"]
    return out


def split_table(parts):
    lines = ["| fault | recoveries seen | detect p50 / p99 ms | decide | restore | refill |", "|---|---|---|---|---|---|"]
    for kind in dict.fromkeys(kind for kind, _ in parts):
        mine = [split for k, split in parts if k == kind]
        cells = [f"{figures.percentile(column, 50) / 1e6:.0f} / {figures.percentile(column, 99) / 1e6:.0f}"
                 for column in map(list, zip(*mine))]
        lines.append(f"| {kind} | {len(mine)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


async def watch_usage(cluster, samples):
    while True:
        samples.append(cluster.usage())
        await asyncio.sleep(SAMPLE_S)


def kinds_of(options):
    if not options.netns:
        return options.fault or list(KINDS)
    return options.fault or [kind for kind in {**KINDS, **LINK_KINDS} if kind != "join"]


def report(options, load, injector, usage_table):
    complete = [a for a in load.answers if a.complete]
    print(f"streams {len(load.answers)}: complete {len(complete)}, lost {len(load.lost)}, different {len(load.different)}; "
          f"resumed at another door or later {sum(a.resumed for a in load.answers)} times")
    print(f"faults {len(injector.struck)} of {len(injector.faults)} planned, seed {options.seed}")
    for asked, answer in load.lost[:5]:
        print(f"  lost: request {asked.number} ({asked.kind}): {answer.troubles[-4:]}")
    for asked, answer in load.different[:5]:
        expected = load.expected[asked]
        print(f"  different: request {asked.number} ({asked.kind}): {answer.troubles[-4:]}\n    got      {answer.choices}"
              f"\n    expected {expected.choices}")
    for trouble in injector.trouble[:10]:
        print(f"  trouble: {trouble}")
    if options.verbose:
        print("\n".join(figures.lines(injector.struck, load.answers, injector.cluster.names)))
    if injector.struck:
        print(figures.table(injector.struck, load.answers))
    if injector.parts:
        print(split_table(injector.parts))
    print(usage_table)


async def run(options, folder):
    expected = await undisturbed(options.program, options.requests, options.tokens)
    kind_of_cluster = netns_cluster.NetnsCluster if options.netns else DevCluster
    more = {"slow_links": "delay" in kinds_of(options)} if options.netns else {}
    cluster = kind_of_cluster(options.program, folder, options.nodes, options.up, **more)
    try:
        cluster.up()
        faults = [] if options.no_faults else plan(options.seed, options.nodes, options.seconds, kinds_of(options))
        injector = Injector(cluster, faults, options.overlapping)
        load = Load(cluster, expected, options.streams, options.seed)
        stop = asyncio.Event()
        working = asyncio.create_task(load.run(stop))
        await asyncio.sleep(2)
        samples = []
        watching = asyncio.create_task(watch_usage(cluster, samples))
        recovered_before = await moments(cluster)
        ends = time.monotonic() + options.seconds
        await injector.run(stop)
        while time.monotonic() < ends:
            await asyncio.sleep(min(0.5, max(0.01, ends - time.monotonic())))
        watching.cancel()
        stop.set()
        await working
        recovered = await moments(cluster)
        usage_table, more = figures.quarters(samples, cluster.names)
        injector.trouble += more
        report(options, load, injector, usage_table)
        failed = bool(load.lost or load.different or injector.trouble) or bool(faults) != bool(injector.struck)
        if options.no_faults:
            counts = {name: recovered[name]["count"] - recovered_before[name]["count"] for name in recovered}
            print(f"recoveries without a cause: {sum(counts.values())}")
            failed = failed or any(counts.values())
        return 1 if failed or not load.answers else 0
    finally:
        cluster.down()


def main():
    options = arguments()
    why = netns_cluster.why_not() if options.netns else ""
    if options.netns and not why and "delay" in kinds_of(options):
        why = netns_cluster.why_no_delays()
    if why:
        print(f"chaos: {why}", file=sys.stderr)
        return SKIPPED
    try:
        patience = 2 * options.seconds + 180
        if options.dir:
            return asyncio.run(asyncio.wait_for(run(options, options.dir), patience))
        with tempfile.TemporaryDirectory(prefix="troupe-chaos-") as folder:
            return asyncio.run(asyncio.wait_for(run(options, folder + "/cluster"), patience))
    except asyncio.TimeoutError:
        print(f"chaos: not over after {patience} s", file=sys.stderr)
        return 1
    except ClusterFailed as why:
        print(f"chaos: {why}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
