"""enginehost: real nodes, started from a node file like `up -d`, measured with the engines' own clocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from bench.live_node import exchange, live_node
from bench.places import cores
from bench.rounds import Contestant, Round, Unavailable
from host.live.control.client import Client
from transport.native import native_available, native_reason

Measure = Callable[[Client], Round]

ADAPTIVE = "adaptive"
BLOCK = "block"


def contestant(text: str, measure: Measure, local: str = "lane", wait: str = ADAPTIVE, peer: str = "") -> Contestant:
    """A node that starts with its first round and lives until the last.

    Args:
        text: the node file, without its transport.
        measure: makes one round with a client of the running node.
        local: `lane` or `zmq`.
        wait: how idle receivers wait, `adaptive` or `block`.
        peer: its name in the report; the default depends on `local`.
    """
    name = peer or ("enginehost" if local == "lane" else f"enginehost-{local}")
    node = f"{text}\ntransport: {{local: {local}, wait: {wait}}}\n"
    stack, clients = ExitStack(), list[Client]()

    def run() -> Round:
        if local == "lane" and not native_available():
            raise Unavailable(f"no native lane: {native_reason()}")
        if not clients:
            clients.append(stack.enter_context(live_node(node)))
        return measure(clients[0])

    return Contestant(name, run, stack.close, wait)


def without_ring(text: str, measure: Measure) -> Contestant:
    """The same node, whose processes keep no triggers for a rehearsal."""
    return contestant(f"{text}reload: {{volatile_triggers: 0}}\n", measure, peer="enginehost-no-ring")


def fresh_node(text: str, measure: Measure, peer: str = "enginehost") -> Contestant:
    """A new node for each round, for work that one node cannot repeat."""

    def run() -> Round:
        with live_node(text) as client:
            return measure(client)

    return Contestant(peer, run)


def two_cores() -> tuple[str, str]:
    """Placements of two engines on a core each, or in processes on a machine with one core."""
    first, second = (f"core {core}" if core >= 0 else "process" for core in cores())
    return first, second


def measured_rate(client: Client, engine: str, tag: str, fields: dict[str, Any], count: int) -> Round:
    """Order `count` things, and return the engine's `Seen` as a rate. Raises AssertionError for another count."""
    seen = exchange(client, engine, tag, fields, wait="Seen")
    if seen["count"] != count:
        raise AssertionError(f"{engine} saw {seen['count']} of {count}")
    return Round(count * 1e9 / max(seen["took_ns"], 1), seen["count"])


def flat(chunks: Sequence[Sequence[int]]) -> list[int]:
    """Times that engines keep in chunks, as one list."""
    return [taken for chunk in chunks for taken in chunk]
