"""Steps per second of 64 tokens that wander among 20 engines in 20 processes, each with a timer of 5 ms.

The single times are the delays of timers, as a measure of a busy node's latency.
"""

from __future__ import annotations

from bench.live_node import exchange
from bench.peers.enginehost import BLOCK, contestant, flat
from bench.rounds import Contestant, Round, Suite
from host.live.control.client import Client

WALKERS = 20
TOKENS = 64
NAMES = [f"walker-{number}" for number in range(WALKERS)]
STRIDES = [1 + 7 * number % (WALKERS - 1) for number in range(WALKERS)]
"""Different for neighbours, so tokens do not all walk in step."""


def node_text() -> str:
    """Walkers that are acquainted with one another, and the guide."""
    walkers = [
        f'  {name}: {{family: "engines.benchmark.mixed:WALKER", '
        f"config: {{walkers: [{', '.join(NAMES)}], stride: {stride}, tick_ns: 5ms}}}}"
        for name, stride in zip(NAMES, STRIDES, strict=True)
    ]
    guide = '  guide: {family: "engines.benchmark.mixed:GUIDE"}'
    return "\n".join(["node: bench-mixed", "engines:", guide, *walkers, "placement: {default: process}"])


def _contestants(steps: int) -> list[Contestant]:
    hops = max(steps // TOKENS, 1)
    return [
        contestant(node_text(), lambda client: _tour(client, hops)),
        contestant(node_text(), lambda client: _tour(client, hops), wait=BLOCK, peer="enginehost-block"),
        contestant(node_text(), lambda client: _tour(client, max(hops // 8, 1)), local="zmq"),
    ]


def _tour(client: Client, hops: int) -> Round:
    walked = exchange(client, "guide", "Walk", {"tokens": TOKENS, "hops": hops, "walkers": NAMES}, wait="Walked")
    return Round(TOKENS * hops * 1e9 / walked["took_ns"], TOKENS * hops, flat(walked["late_ns"]))


SUITE = Suite(
    "mixed",
    f"{TOKENS} tokens among {WALKERS} engines with timers of 5 ms",
    "steps/s",
    200_000,
    _contestants,
    least=TOKENS,
)
