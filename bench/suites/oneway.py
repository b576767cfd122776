"""Records per second from one process to another, one send per record."""

from __future__ import annotations

from bench.peers import erlang, iceoryx2, limit, multiprocessing, pyzmq, resident, zenoh
from bench.peers.enginehost import contestant, measured_rate, two_cores, without_ring
from bench.record import written_record
from bench.rounds import Contestant, Round, Suite
from bench.topologies import Weave, stream
from host.live.control.client import Client

NODE = """
node: bench-oneway
engines:
  source: {{family: "engines.benchmark.source:SOURCE", placement: {source}}}
  sink: {{family: "engines.benchmark.oneway:SINK", placement: {sink}}}
"""


def _contestants(records: int) -> list[Contestant]:
    sink, source = two_cores()
    node = NODE.format(sink=sink, source=source)

    def bare(weave: Weave) -> Round:
        return stream(weave, records)

    def slower(weave: Weave) -> Round:
        return stream(weave, max(records // 4, 1))

    return [
        contestant(node, lambda client: _order(client, records)),
        without_ring(node, lambda client: _order(client, records)),
        limit.contestant(bare),
        contestant(node, lambda client: _order(client, max(records // 2, 1)), local="zmq"),
        pyzmq.push_pull(slower),
        pyzmq.dealer_router(slower),
        multiprocessing.pipe(slower),
        multiprocessing.queue(slower),
        iceoryx2.contestant(slower),
        zenoh.contestant(slower),
        erlang.one_vm("oneway", records),
        erlang.two_nodes("oneway", max(records // 4, 1)),
        *resident.actors("oneway", max(records // 100, 1)),
    ]


def _order(client: Client, records: int) -> Round:
    order = {"count": records, "source": "source", "record": written_record()}
    return measured_rate(client, "sink", "Reset", order, records)


SUITE = Suite(
    "oneway", "one typed record of 100 bytes a send, from process to process", "records/s", 500_000, _contestants
)
