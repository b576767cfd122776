"""How workers wait: not at all where both ends are in one process, and no worse than blocking where cores are few."""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import pytest
from live_nodes import LiveNode, World

from engines.benchmark.ring import Start
from engines.model import Ref, encode
from host.config.spec import EngineSpec, NodeSpec, TransportSpec
from host.live import wire
from host.live.clock import offset_now
from host.live.control.client import Client
from host.live.control_page import new_control_page
from host.live.packets import channel_pair, close_all, supervisor_end, worker_end
from host.live.worker.loading import loader
from host.live.worker.loop import Worker
from host.live.worker.own_link import open_link
from host.live.worker.parts import Outset
from host.node.routing import Birth
from transport.native import native_available

LANE_BYTES = 1 << 16
HOPS = 1_000
PAIRS = 2 * len(os.sched_getaffinity(0))
"""Of two processes each: four of them for a core."""

TRIPS = 10_000
ROUNDS = 7
WORSE_MAX = 1.1
TAIL_WORSE_MAX = 2.0
"""Wider: the 99th percentile differs by a third from start to start of the same nodes, on either side of blocking's."""


def runner(name: str, to: str) -> EngineSpec:
    return EngineSpec(name, "engines.benchmark.ring:RUNNER", {"next": to}, acquaintances=(to,))


@pytest.mark.skipif(not native_available(), reason="ZeroMQ links have no doorbell")
def test_neighbours_in_a_process_hand_over_without_the_link() -> None:
    """False if engines of one process paid for a doorbell, a frame, or giving way."""
    from transport.lanes import LaneLink, create_slot

    ours, theirs = channel_pair()
    supervisor, channel, page = supervisor_end(ours), worker_end(theirs), new_control_page()
    slot, outside = create_slot(LANE_BYTES), create_slot(LANE_BYTES)
    boot = wire.Boot("n", 1, 1, True, "adaptive", "", (), (), now_ns=offset_now())
    link = open_link(boot, [*map(os.dup, slot), page])
    worker = Worker(Outset(channel, boot, link, loader((), check=False)))
    out, into, bell = map(os.dup, outside)
    peer = LaneLink(2, out, into, bell)
    try:
        peer.attach(1, *map(os.dup, slot))
        worker.link.attach(2, *map(os.dup, outside))  # type: ignore[attr-defined]
        worker.bear((Birth(runner("a", "b")), Birth(runner("b", "a"))))
        outlet = peer.outlet(1, "outside", "a", 0, 1, 1)
        outlet.send(encode(Start(HOPS, Ref("outside"))))
        peer.flush()
        while worker.cycle():
            pass
        worker.outbox.route("outside", 2)
        before = worker.link.counters()
        assert (before["yields"], before["blocks"], before["rings"], before["frames_out"]) == (0, 0, 0, 0)
        assert sum(cell.handled for cell in worker.scheduler.cells.values()) == HOPS + 1
    finally:
        worker.link.close()
        peer.close()
        channel.close()
        supervisor.close()
        close_all([*slot, *outside])


def test_the_node_file_says_how_to_wait_and_ps_shows_it(world: World) -> None:
    """False if `wait` were read and not passed on, or a user could not see it."""
    with world.up(world.spec(runner("a", "a"), transport=TransportSpec(wait="block"))) as node:
        assert {item["wait"] for item in node.ask("ps")} == {"block"}
        assert node.ask("status")[0]["wait"] == "block"


class Figures(NamedTuple):
    """Round trips a second of all pairs together, and the 99th percentile of their nanoseconds."""

    rate: float
    tail_ns: int


def rally(node: LiveNode, pair: int) -> list[int]:
    """The nanoseconds of each round trip of one pair."""
    args: dict[str, Any] = {"engine": f"server{pair}", "mailbox": 0, "tag": "Serve", "wait": "Rally"}
    args["fields"] = {"rounds": ["json", TRIPS], "wall": ["json", f"wall{pair}"]}
    with Client(node.client.path) as client:
        item = client.request("send", {**args, "timeout_ns": 60 * 10**9}, timeout_ns=60 * 10**9).items[0]
    return [taken_ns for chunk in item["taken_ns"] for taken_ns in chunk]


def play(node: LiveNode) -> Figures:
    """All pairs at once."""
    began_ns = time.monotonic_ns()
    with ThreadPoolExecutor(PAIRS) as pool:
        rallies = list(pool.map(lambda pair: rally(node, pair), range(PAIRS)))
    trips = sorted(taken_ns for one in rallies for taken_ns in one)
    assert len(trips) == PAIRS * TRIPS
    return Figures(len(trips) * 1e9 / (time.monotonic_ns() - began_ns), trips[len(trips) * 99 // 100])


def pairs(world: World, node: str, wait: Literal["adaptive", "block"]) -> NodeSpec:
    servers = [EngineSpec(f"server{n}", "engines.benchmark.pingpong:SERVER") for n in range(PAIRS)]
    walls = [EngineSpec(f"wall{n}", "engines.benchmark.pingpong:WALL") for n in range(PAIRS)]
    return world.spec(*servers, *walls, node=node, transport=TransportSpec(wait=wait))


@pytest.mark.long
def test_giving_way_costs_nothing_where_workers_outnumber_cores(world: World, record_property: Any) -> None:
    """False if waiting the adaptive way took throughput or the tail where cores are few. Medians of rounds in turn."""
    with (
        world.up(pairs(world, "giving", "adaptive")) as giving,
        world.up(pairs(world, "blocking", "block")) as blocking,
    ):
        for node in (giving, blocking):
            play(node)
        rounds = [(play(giving), play(blocking)) for _ in range(ROUNDS)]
    slower = [block.rate / adaptive.rate for adaptive, block in rounds]
    later = [adaptive.tail_ns / block.tail_ns for adaptive, block in rounds]
    record_property("rates", [(round(a.rate), round(b.rate)) for a, b in rounds])
    record_property("tails_us", [(a.tail_ns // 1000, b.tail_ns // 1000) for a, b in rounds])
    assert statistics.median(slower) <= WORSE_MAX, rounds
    assert statistics.median(later) <= TAIL_WORSE_MAX, rounds
