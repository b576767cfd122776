"""pyzmq PUSH/PULL over ipc with msgspec and a bare handler: the usual way to do this in Python, done well.

Plain sockets, drained without waiting; one message a record, as an application would send it.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import Final

import zmq

from bench.processes import cores, forked, pinned
from bench.record import RECORD, Counter, decoder, encoder
from bench.rounds import Contestant

HIGH_WATER: Final = 100_000
"""Records queued on either side; enough that neither waits for the other's time slice."""


def oneway(records: int) -> Contestant:
    """Records a second from a process to a bare handler in another one."""
    return Contestant("oneway", "pyzmq", "records/s", lambda: (_round(records), {}))


def _round(records: int) -> float:
    consumer_core, producer_core = cores()
    with tempfile.TemporaryDirectory() as folder:
        address = f"ipc://{folder}/peer"
        with zmq.Context() as context, context.socket(zmq.PULL) as pull, pinned(consumer_core):
            pull.setsockopt(zmq.RCVHWM, HIGH_WATER)
            pull.bind(address)
            with forked(lambda: _produce(address, records), producer_core):
                return _consume(pull, records)


def _produce(address: str, records: int) -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.setsockopt(zmq.SNDHWM, HIGH_WATER)
        push.connect(address)
        encode, send = encoder.encode, push.send
        for _ in range(records):
            send(encode(RECORD), copy=True)
        push.close(linger=-1)
        context.term()
        os._exit(0)


def _consume(pull: zmq.Socket[bytes], records: int) -> float:
    counter = Counter()
    handle, decode, receive = counter.handle, decoder.decode, pull.recv
    handle(decode(receive()))
    start_ns = time.monotonic_ns()
    while counter.count < records:
        try:
            while counter.count < records:
                handle(decode(receive(zmq.NOBLOCK)))
        except zmq.Again:
            pull.poll()
    return (records - 1) * 1e9 / (time.monotonic_ns() - start_ns)
