#!/usr/bin/env python3
# The same requests to clusters of every shape: the bytes must be those of a single node.
#
#   tests/chaos/matrix.py --program build/release/bin/troupe
#
# Exit codes: 0 all identical; 1 not so; 2 a cluster did not come up.
import argparse
import asyncio
import sys
import tempfile

import stream_client
from dev_cluster import ClusterFailed, DevCluster
from load import undisturbed

# Nodes, stages, shards, copies of each shard.
SHAPES = [(1, 1, 1, 1), (1, 2, 4, 1), (2, 1, 2, 1), (2, 2, 2, 2), (3, 1, 3, 1), (3, 2, 4, 2), (3, 3, 8, 3), (4, 2, 4, 1),
          (4, 4, 8, 2)]


async def ask_all(doors, wanted):
    """Every request at every door, all at once."""
    return await asyncio.gather(*(stream_client.ask(lambda url=url: [url], asked, 0) for url in doors for asked in wanted))


async def run(options, folder):
    answered = await undisturbed(options.program, options.requests, options.tokens)
    wanted, expected = list(answered), list(answered.values())
    wrong = 0
    print("| nodes | stages | shards | copies | answers | identical |\n|---|---|---|---|---|---|")
    for number, (nodes, stages, shards, copies) in enumerate(SHAPES):
        cluster = DevCluster(options.program, f"{folder}/{number}", nodes,
                             ["--stages", str(stages), "--shards", str(shards), "--shard-copies", str(copies)])
        cluster.up()
        try:
            answers = await ask_all(cluster.doors(), wanted)
        finally:
            cluster.down()
        same = sum(answer.complete and answer.same_as(expected[i % len(wanted)]) for i, answer in enumerate(answers))
        wrong += len(answers) - same
        print(f"| {nodes} | {stages} | {shards} | {copies} | {len(answers)} | {same} |", flush=True)
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description="The same bytes from clusters of every shape.")
    parser.add_argument("--program", required=True)
    parser.add_argument("--requests", type=int, default=14)
    parser.add_argument("--tokens", type=int, default=120)
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="troupe-matrix-") as folder:
            return asyncio.run(run(options, folder))
    except ClusterFailed as why:
        print(f"matrix: {why}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
