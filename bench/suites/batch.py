"""Records per second, with 64 of them in one message and one trigger."""

from __future__ import annotations

from bench.peers import limit, multiprocessing, pyzmq
from bench.peers.enginehost import contestant, measured_rate, two_cores, without_ring
from bench.record import BATCH_RECORDS, written_record
from bench.rounds import Contestant, Round, Suite
from bench.topologies import Weave, batches
from host.live.control.client import Client

NODE = """
node: bench-batch
engines:
  source: {{family: "engines.benchmark.batch:SHIPPER", placement: {source}}}
  sink: {{family: "engines.benchmark.batch:UNLOADER", placement: {sink}}}
"""


def _contestants(records: int) -> list[Contestant]:
    sink, source = two_cores()
    node = NODE.format(sink=sink, source=source)

    def bare(weave: Weave) -> Round:
        return batches(weave, records)

    return [
        contestant(node, lambda client: _order(client, records)),
        without_ring(node, lambda client: _order(client, records)),
        limit.contestant(bare),
        contestant(node, lambda client: _order(client, records), local="zmq"),
        pyzmq.push_pull(bare),
        multiprocessing.pipe(bare),
    ]


def _order(client: Client, records: int) -> Round:
    count = records // BATCH_RECORDS
    batch = {"records": [written_record()] * BATCH_RECORDS}
    order = {"count": count, "source": "source", "batch": batch}
    return measured_rate(client, "sink", "Fetch", order, count * BATCH_RECORDS)


SUITE = Suite(
    "batch",
    f"{BATCH_RECORDS} records as one message and one trigger, counted in records",
    "records/s",
    1_600_000,
    _contestants,
    least=BATCH_RECORDS,
)
