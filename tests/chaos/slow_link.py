#!/usr/bin/env python3
# A cable between two TAP devices that can be made slow, for kernels without netem:
#   slow_link.py ONE OTHER     reads "DELAY_MS JITTER_MS" a line, and ends with its input
# Prints "ready" once both devices are there. Packets that jitter lets overtake each other do so.
import fcntl
import heapq
import os
import random
import selectors
import struct
import sys
import time

TUNSETIFF, TAP, NO_HEADER = 0x400454CA, 0x0002, 0x1000
WAITING_MAX = 4096  # packets; more are lost, as in a queue


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH14x", name.encode(), TAP | NO_HEADER))
    return fd


def main(one, other):
    ends = [tap(one), tap(other)]
    across = {ends[0]: ends[1], ends[1]: ends[0]}
    watched = selectors.DefaultSelector()
    for fd in (*ends, sys.stdin.fileno()):
        watched.register(fd, selectors.EVENT_READ)
    print("ready", flush=True)
    waiting, count, delay_s, jitter_s = [], 0, 0.0, 0.0
    while True:
        left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in watched.select(left):
            if key.fd == sys.stdin.fileno():
                line = os.read(key.fd, 4096).decode().strip().splitlines()
                if not line:
                    return
                delay_s, jitter_s = (float(word) / 1000 for word in line[-1].split())
                continue
            for _ in range(64):
                try:
                    packet = os.read(key.fd, 65536)
                except OSError:  # nothing more, or the device is down
                    break
                count += 1
                due = time.monotonic() + max(0.0, delay_s + random.uniform(-jitter_s, jitter_s))
                if len(waiting) < WAITING_MAX:
                    heapq.heappush(waiting, (due, count, across[key.fd], packet))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(waiting)
            try:
                os.write(to, packet)
            except OSError:  # the device is down: lost
                pass


if __name__ == "__main__":
    main(*sys.argv[1:3])
