"""Records per second from a process into an engine with a journal; beside it, bare appends of the same records."""

from __future__ import annotations

from bench.peers import logs
from bench.peers.enginehost import contestant, measured_rate, two_cores
from bench.record import written_record
from bench.rounds import Contestant, Round, Suite
from host.live.control.client import Client

LASTING = 40
"""Engines take this many times the records of the others, so five rounds write for more than ten seconds."""
NODE = """
node: bench-{mode}
engines:
  source: {{family: "engines.benchmark.source:SOURCE", placement: {source}}}
  sink: {{family: "engines.benchmark.oneway:SINK", placement: {sink}, durability: {mode}}}
"""


def _contestants(records: int) -> list[Contestant]:
    alone = [
        log(records, durable=durable) for durable in (False, True) for log in (logs.journal, logs.sqlite, logs.lmdb)
    ]
    lasting = records * LASTING
    return [_engine("crash", lasting, "enginehost"), _engine("durable", lasting, "enginehost-durable"), *alone]


def _engine(mode: str, records: int, peer: str) -> Contestant:
    sink, source = two_cores()
    node = NODE.format(mode=mode, sink=sink, source=source)
    return contestant(node, lambda client: _order(client, records), peer=peer)


def _order(client: Client, records: int) -> Round:
    order = {"count": records, "source": "source", "record": written_record()}
    return measured_rate(client, "sink", "Reset", order, records)


SUITE = Suite("durable", "one typed record a send, to an engine with a journal", "records/s", 100_000, _contestants)
