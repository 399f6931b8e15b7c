# The requests of a run, what an undisturbed node says to them, and the clients that ask.
import asyncio
import json
import random

import event_stream
import stream_client
from dev_cluster import ClusterFailed, SingleNode
from requests_made import make


async def undisturbed(program, count, tokens):
    """What one node says to each of `count` requests: {request: answer}."""
    single = SingleNode(program)
    try:
        _, body = await event_stream.request(single.url, "GET", "/v1/models")
        model = json.loads(body)["data"][0]["id"]
        out = {}
        for asked in (make(number, model, tokens) for number in range(count)):
            out[asked] = answer = await stream_client.ask(lambda: [single.url], asked, 0)
            if not answer.complete or not answer.times:
                raise ClusterFailed(f"the undisturbed node does not answer request {asked.number} ({asked.kind}): "
                                    f"{answer.troubles}")
        return out
    finally:
        single.stop()


class Load:
    """So many clients that ask one request after another until told to stop."""

    def __init__(self, cluster, expected, streams, seed):
        self.cluster, self.expected, self.streams, self.seed = cluster, expected, streams, seed
        self.answers, self.different, self.lost = [], [], []

    async def run(self, stop):
        await asyncio.gather(*(self.client(number, stop) for number in range(self.streams)))

    async def client(self, number, stop):
        draw = random.Random(self.seed * 1000 + number)
        wanted = list(self.expected)
        while not stop.is_set():
            asked = draw.choice(wanted)
            answer = await stream_client.ask(self.cluster.doors, asked, draw.randrange(16))
            self.answers.append(answer)
            if not answer.complete:
                self.lost.append((asked, answer))
                await asyncio.sleep(1)
            elif not answer.same_as(self.expected[asked]):
                self.different.append((asked, answer))
