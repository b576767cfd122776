"""Nanoseconds of a round trip between two processes that sleep while idle; also between two engines in one process."""

from __future__ import annotations

from bench.live_node import exchange
from bench.peers import erlang, eventfd, iceoryx2, multiprocessing, pyzmq, resident, zenoh
from bench.peers.enginehost import BLOCK, contestant, flat, two_cores
from bench.rounds import Contestant, Round, Suite
from bench.spread import median
from bench.topologies import Weave, pingpong
from host.live.control.client import Client

NODE = """
node: bench-pingpong
engines:
  server: {{family: "engines.benchmark.pingpong:SERVER", placement: {server}}}
  wall: {{family: "engines.benchmark.pingpong:WALL", placement: {wall}}}
"""


_GROUPED = NODE.format(server="group both", wall="group both")


def node_text() -> str:
    """Server and wall, each on its own core."""
    wall, server = two_cores()
    return NODE.format(wall=wall, server=server)


def rally(client: Client, rounds: int) -> Round:
    """Median nanoseconds of a round trip between server and wall."""
    played = exchange(client, "server", "Serve", {"rounds": rounds, "wall": "wall"}, wait="Rally")
    taken_ns = flat(played["taken_ns"])
    return Round(median(taken_ns), len(taken_ns), taken_ns)


def _contestants(round_trips: int) -> list[Contestant]:
    def bare(weave: Weave) -> Round:
        return pingpong(weave, round_trips)

    return [
        contestant(node_text(), lambda client: rally(client, round_trips), wait=BLOCK),
        contestant(_GROUPED, lambda client: rally(client, round_trips), wait=BLOCK, peer="enginehost-group"),
        eventfd.pingpong(round_trips),
        contestant(node_text(), lambda client: rally(client, round_trips), local="zmq", wait=BLOCK),
        pyzmq.push_pull(bare),
        multiprocessing.pipe(bare),
        multiprocessing.queue(bare),
        iceoryx2.contestant(bare),
        zenoh.contestant(bare),
        erlang.one_vm("pingpong", round_trips),
        erlang.two_nodes("pingpong", round_trips),
        *resident.actors("pingpong", max(round_trips // 20, 1)),
    ]


SUITE = Suite("pingpong", "a round trip between receivers that sleep at once", "ns", 5_000, _contestants)
