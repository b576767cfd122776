"""Bytes per second in messages of 16 MiB between processes, read in place; beside it, a bare copy."""

from __future__ import annotations

import mmap
import time
from typing import Final

from bench.peers.enginehost import contestant, measured_rate, two_cores
from bench.rounds import Contestant, Round, Suite
from host.live.control.client import Client

CHUNK_BYTES: Final = 16 << 20

NODE = """
node: bench-large
engines:
  source: {{family: "engines.benchmark.large:HAULER", placement: {source}}}
  sink: {{family: "engines.benchmark.large:PULLER", placement: {sink}}}
"""


def _contestants(size: int) -> list[Contestant]:
    sink, source = two_cores()
    node = NODE.format(sink=sink, source=source)
    count = max(size // CHUNK_BYTES, 1)
    return [contestant(node, lambda client: _order(client, count)), _memcpy(count)]


def _order(client: Client, count: int) -> Round:
    order = {"count": count, "size": CHUNK_BYTES, "source": "source"}
    return measured_rate(client, "sink", "Pull", order, count * CHUNK_BYTES)


def _memcpy(count: int) -> Contestant:
    """One copy of each message in one process, from private memory to shared memory with mapped pages."""
    content = memoryview(bytes(range(256)) * (CHUNK_BYTES // 256))
    shared = mmap.mmap(-1, CHUNK_BYTES)
    target = memoryview(shared)
    target[:] = content

    def run() -> Round:
        began_ns = time.perf_counter_ns()
        for _ in range(count):
            target[:] = content
        return Round(count * CHUNK_BYTES * 1e9 / (time.perf_counter_ns() - began_ns), count * CHUNK_BYTES)

    def close() -> None:
        target.release()
        shared.close()

    return Contestant("memcpy", run, close)


SUITE = Suite(
    "large",
    "messages of 16 MiB read where they lie, counted in bytes; memcpy: one copy of each, nothing else",
    "bytes/s",
    4 << 30,
    _contestants,
    least=CHUNK_BYTES,
)
