"""Records per second from one process to eight, in turn."""

from __future__ import annotations

from bench.peers import limit, multiprocessing, pyzmq
from bench.peers.enginehost import contestant, measured_rate
from bench.record import written_record
from bench.rounds import Contestant, Round, Suite
from bench.topologies import Weave, stream
from host.live.control.client import Client

HANDS = 8
NODE = f"""
node: bench-fanout
engines:
  dealer: {{family: "engines.benchmark.fanout:DEALER"}}
  hand: {{family: "engines.benchmark.fanout:HAND", count: {HANDS}}}
  table: {{family: "engines.benchmark.fanout:TABLE"}}
placement: {{default: process}}
"""


def _contestants(records: int) -> list[Contestant]:
    def bare(weave: Weave) -> Round:
        return stream(weave, records, receivers=HANDS)

    def slower(weave: Weave) -> Round:
        return stream(weave, max(records // 4, HANDS), receivers=HANDS)

    return [
        contestant(NODE, lambda client: _order(client, records)),
        limit.contestant(bare),
        contestant(NODE, lambda client: _order(client, records // 2), local="zmq"),
        pyzmq.push_pull(slower),
        multiprocessing.pipe(slower),
    ]


def _order(client: Client, records: int) -> Round:
    each = max(records // HANDS, 1)
    hands = [f"hand.{number + 1}" for number in range(HANDS)]
    order = {"each": each, "record": written_record(), "dealer": "dealer", "hands": hands}
    return measured_rate(client, "table", "Play", order, each * HANDS)


SUITE = Suite(
    "fanout", f"records from one process to {HANDS}, in turn", "records/s", 400_000, _contestants, least=HANDS
)
