"""Records per second through four hops: a source, three stages, a sink, each in its own process."""

from __future__ import annotations

from bench.peers import limit, multiprocessing, pyzmq
from bench.peers.enginehost import contestant, measured_rate
from bench.record import written_record
from bench.rounds import Contestant, Round, Suite
from bench.topologies import Weave, pipeline
from host.live.control.client import Client

HOPS = 4
NODE = """
node: bench-pipeline
engines:
  source: {family: "engines.benchmark.source:SOURCE"}
  first: {family: "engines.benchmark.gather:STAGE", config: {next: second}}
  second: {family: "engines.benchmark.gather:STAGE", config: {next: third}}
  third: {family: "engines.benchmark.gather:STAGE", config: {next: sink}}
  sink: {family: "engines.benchmark.gather:GATHERER"}
placement: {default: process}
"""


def _contestants(records: int) -> list[Contestant]:
    def bare(weave: Weave) -> Round:
        return pipeline(weave, records, HOPS)

    def slower(weave: Weave) -> Round:
        return pipeline(weave, max(records // 4, 1), HOPS)

    return [
        contestant(NODE, lambda client: _order(client, records)),
        limit.contestant(bare),
        contestant(NODE, lambda client: _order(client, max(records // 2, 1)), local="zmq"),
        pyzmq.push_pull(slower),
        multiprocessing.pipe(slower),
    ]


def _order(client: Client, records: int) -> Round:
    order = {"each": records, "sources": ["source"], "target": "first", "record": written_record()}
    return measured_rate(client, "sink", "Gather", order, records)


SUITE = Suite("pipeline", f"records through {HOPS} hops, counted at the end", "records/s", 200_000, _contestants)
