"""Records a second from eight processes into one."""

from __future__ import annotations

from bench.peers import limit, multiprocessing, pyzmq
from bench.peers.enginehost import contestant, measured_rate
from bench.record import written_record
from bench.rounds import Contestant, Round, Suite
from bench.topologies import Weave, stream
from host.live.control.client import Client

SOURCES = 8
NODE = f"""
node: bench-fanin
engines:
  source: {{family: "engines.benchmark.source:SOURCE", count: {SOURCES}}}
  sink: {{family: "engines.benchmark.gather:GATHERER"}}
placement: {{default: process}}
"""


def _contestants(records: int) -> list[Contestant]:
    def bare(weave: Weave) -> Round:
        return stream(weave, records, senders=SOURCES)

    def slower(weave: Weave) -> Round:
        return stream(weave, max(records // 4, SOURCES), senders=SOURCES)

    return [
        contestant(NODE, lambda client: _order(client, records)),
        limit.contestant(bare),
        contestant(NODE, lambda client: _order(client, records // 2), local="zmq"),
        pyzmq.push_pull(slower),
        pyzmq.dealer_router(slower),
        multiprocessing.queue(slower),
    ]


def _order(client: Client, records: int) -> Round:
    each = max(records // SOURCES, 1)
    sources = [f"source.{number + 1}" for number in range(SOURCES)]
    order = {"each": each, "sources": sources, "target": "sink", "record": written_record()}
    return measured_rate(client, "sink", "Gather", order, each * SOURCES)


SUITE = Suite("fanin", f"records from {SOURCES} processes into one", "records/s", 400_000, _contestants, least=SOURCES)
