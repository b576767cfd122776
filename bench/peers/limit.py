"""The raw limit: this project's lane core with nothing on top.

One push a record into the lane, pop to bytes, decode of the union, a bare handler. No engine, no mailbox, no `step`:
what remains between this and `oneway` of the engine host is the price of the model.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from bench.processes import cores, forked, pinned
from bench.record import RECORD, Counter, decoder, encoder
from bench.rounds import Contestant, Unavailable
from transport.native import native_available, native_reason
from transport.port import LANE_BYTES

if TYPE_CHECKING:
    from transport.lanes import LaneLink

CONSUMER: Final = 1
PRODUCER: Final = 2
DRAIN_MAX: Final = 1024
PAYLOADS: Final = 7
"""Index of the payloads in a frame."""
RETRY_NS: Final = 100_000_000
"""Bound of a producer's wait for room; the consumer rings much earlier."""

Fds = tuple[int, int, int]


def oneway(records: int) -> Contestant:
    """Records a second through one lane to a bare handler."""
    return Contestant("oneway", "limit", "records/s", lambda: (_round(records), {}))


def _round(records: int) -> float:
    if not native_available():
        raise Unavailable(f"no native lane: {native_reason()}")
    from transport.lanes import create_slot

    consumer_core, producer_core = cores()
    consumer, producer = create_slot(LANE_BYTES), create_slot(LANE_BYTES)
    try:
        with (
            pinned(consumer_core),
            forked(lambda: _produce(_linked(PRODUCER, producer, CONSUMER, consumer), records), producer_core),
        ):
            return _consume(_linked(CONSUMER, consumer, PRODUCER, producer), records)
    finally:
        for fd in (*consumer, *producer):
            os.close(fd)


def _linked(slot: int, own: Fds, peer: int, other: Fds) -> LaneLink:
    from transport.lanes import LaneLink

    out_fd, in_fd, doorbell_fd = map(os.dup, own)
    link = LaneLink(slot, out_fd, in_fd, doorbell_fd)
    out_fd, in_fd, doorbell_fd = map(os.dup, other)
    link.attach(peer, out_fd, in_fd, doorbell_fd)
    return link


def _produce(link: LaneLink, records: int) -> None:
    outlet = link.outlet(CONSUMER, "source", "sink", 0, 1, 1)
    encode, send = encoder.encode, outlet.send
    for _ in range(records):
        payload = encode(RECORD)
        while not send(payload):
            link.flush()
            link.wait(RETRY_NS)
    link.flush()
    while True:
        link.wait(None)


def _consume(link: LaneLink, records: int) -> float:
    counter = Counter()
    handle, decode, start_ns = counter.handle, decoder.decode, 0
    while counter.count < records:
        for frame in link.drain(DRAIN_MAX):
            start_ns = start_ns or time.monotonic_ns()
            for payload in frame[PAYLOADS]:
                handle(decode(payload))
        link.release()
        if counter.count < records:
            link.wait(None)
    return records * 1e9 / (time.monotonic_ns() - start_ns)
