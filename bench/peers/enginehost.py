"""This project: real nodes of two engines in two processes, measured by the engines' own clocks."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from bench.live_node import exchange, live_node
from bench.processes import cores
from bench.record import RECORD
from bench.rounds import Contestant, Unavailable
from host.live.control.client import Client
from transport.native import native_available, native_reason

NODE = """
node: bench
engines:
  {source}: {{family: "{source_family}", placement: {source_core}}}
  {sink}: {{family: "{sink_family}", placement: {sink_core}}}
transport: {{local: {local}, wait: {wait}}}
"""

ONEWAY = {
    "source": "source",
    "source_family": "engines.benchmark.source:SOURCE",
    "sink": "sink",
    "sink_family": "engines.benchmark.oneway:SINK",
}
PINGPONG = {
    "source": "server",
    "source_family": "engines.benchmark.pingpong:SERVER",
    "sink": "wall",
    "sink_family": "engines.benchmark.pingpong:WALL",
}


def oneway(records: int, local: str) -> Contestant:
    """Records a second from a device's `send` to the end of the action, a guard and an action for each record."""
    return _contestant("oneway", "records/s", ONEWAY, local, "adaptive", lambda client: _stream(client, records))


def pingpong(suite: str, rounds: int, local: str, wait: str) -> Contestant:
    """Median nanoseconds of a round trip between two engines."""
    return _contestant(suite, "ns", PINGPONG, local, wait, lambda client: _rally(client, rounds))


def _contestant(
    suite: str,
    unit: str,
    node: dict[str, str],
    local: str,
    wait: str,
    measure: Callable[[Client], tuple[float, dict[str, float]]],
) -> Contestant:
    """A contestant whose node starts with its first round and lives until the last."""
    sink_core, source_core = (f"core {core}" if core >= 0 else "process" for core in cores())
    text = NODE.format(**node, local=local, wait=wait, source_core=source_core, sink_core=sink_core)
    stack, clients = ExitStack(), list[Client]()

    def run() -> tuple[float, dict[str, float]]:
        if local == "lane" and not native_available():
            raise Unavailable(f"no native lane: {native_reason()}")
        if not clients:
            clients.append(stack.enter_context(live_node(text)))
        return measure(clients[0])

    return Contestant(suite, "enginehost" if local == "lane" else f"enginehost-{local}", unit, run, stack.close)


def _stream(client: Client, records: int) -> tuple[float, dict[str, float]]:
    order = {"count": records, "source": "source", "record": _fields()}
    seen = exchange(client, "sink", "Reset", order, wait="Seen")
    return records * 1e9 / seen["took_ns"], {}


def _fields() -> dict[str, Any]:
    return {"key": "0x" + RECORD.key.hex(), "sequence": RECORD.sequence, "source": RECORD.source}


def _rally(client: Client, rounds: int) -> tuple[float, dict[str, float]]:
    rally = exchange(client, "server", "Serve", {"rounds": rounds, "wall": "wall"}, wait="Rally")
    taken_ns = sorted(taken for chunk in rally["taken_ns"] for taken in chunk)
    return statistics.median(taken_ns), {
        "p99": taken_ns[len(taken_ns) * 99 // 100],
        "p999": taken_ns[-len(taken_ns) // 1000],
    }
