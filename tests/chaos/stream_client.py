# One stream as a careful client sees it: it goes to another door when one fails, says what it has, and
# goes on. What it got is compared with what an undisturbed node says.
import asyncio
import json
import time
from dataclasses import dataclass, field

from event_stream import Broken, Refused, events

RETRY_AFTER_S = 0.05
GIVE_UP_AFTER_S = 60.0


@dataclass
class Answer:
    """What is to be the same, whatever happened on the way: per choice everything but the cutting into events."""

    choices: dict = field(default_factory=dict)
    times: list = field(default_factory=list)  # monotonic seconds of the events with content
    doors: list = field(default_factory=list)  # (monotonic seconds, URL) of every attempt
    began: float = 0.0
    ended: float = 0.0
    attempts: int = 0
    resumed: int = 0
    troubles: list = field(default_factory=list)
    complete: bool = False

    def add(self, chunk, now):
        for choice in chunk.get("choices", []):
            kept = self.choices.setdefault(choice["index"], {"text": "", "finish": None, "logprobs": []})
            text = choice.get("text")
            if text is None:
                text = choice.get("delta", {}).get("content") or ""
            kept["text"] += text
            if choice.get("finish_reason"):
                if kept["finish"] is not None:
                    self.troubles.append(f"choice {choice['index']} finished twice")
                kept["finish"] = choice["finish_reason"]
            if logprobs := choice.get("logprobs"):
                kept["logprobs"] += logprobs.get("token_logprobs") or []
            if text or choice.get("finish_reason"):
                self.times.append(now)

    def door_at(self, when):
        return max((at, url) for at, url in self.doors if at <= when)[1]

    def same_as(self, other):
        return self.choices == other.choices


async def ask(doors, asked, first_door, started=None):
    """Streams the request to its end, from `doors` (a function that gives the URLs now), beginning with number
    `first_door`. `started` hears of the answer while it grows."""
    out = Answer(began=time.monotonic())
    if started is not None:
        started(out)
    door, last_id = first_door, ""
    while time.monotonic() - out.began < GIVE_UP_AFTER_S:
        urls = doors()
        url = urls[door % len(urls)]
        out.attempts += 1
        out.doors.append((time.monotonic(), url))
        out.resumed += bool(last_id)
        try:
            async for event in events(url, asked.path, asked.body, last_id):
                if event.data == "[DONE]":
                    out.complete, out.ended = True, time.monotonic()
                    return out
                chunk = json.loads(event.data)
                if "error" in chunk:
                    raise Broken(f"error event: {chunk['error']}")
                out.add(chunk, time.monotonic())
                last_id = event.id or last_id
        except Refused as why:
            if why.status in (400, 401, 403, 404, 409, 410, 413, 422):
                out.troubles.append(str(why))
                break
            out.troubles.append(f"{url}: {why}")
        except Broken as why:
            out.troubles.append(f"{url}: {why}")
        door += 1
        await asyncio.sleep(RETRY_AFTER_S)
    out.ended = time.monotonic()
    return out
