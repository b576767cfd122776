"""What one step of a message's way costs, by itself. Run with figures: see `bench/README.md`.

Each test holds in any case, timed or not: it asserts what was computed, never how long it took.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from bench.record import RECORD
from engines.benchmark.batch import UNLOADER, Batch
from engines.benchmark.oneway import SINK, Reset, Tally
from engines.benchmark.ring import RUNNER, Place, Token
from engines.examples.timestamping import SERVER, Issued, Limit, Recent, TimeStampRequest, within_limit
from engines.model import Arrived, Committed, Configuration, Delivery, Environment, Outgoing, Ref, birth, encode, step
from transport.frames import decode_frame, encode_frame
from transport.native import native_available
from transport.port import KIND_MESSAGES, LANE_BYTES, Frame

BATCH = 64
"""Messages of a frame, and of one drain of a lane."""

Benchmark = Any

ROUNDS = 2_000
"""Of benchmarks that must be set up anew for each call."""

PAYLOAD = encode(RECORD)
RECORDS = Batch((RECORD,) * BATCH)
ME = Configuration("node", "sink", None, None)
ARRIVED = Delivery("source", 0, RECORD)
LIMITED = Configuration("node", "server", None, Limit(requests=0, window_ns=1, key=b"k" * 32))
REQUEST = TimeStampRequest(b"hash", Ref("cli"))


@pytest.fixture(scope="module")
def counting() -> Environment[Tally]:
    """A sink that expects many records."""
    born = birth(SINK, ME, now_ns=0)
    order = Delivery("cli", 0, Reset(1_000_000, Ref("source"), RECORD, Ref("cli")))
    outcome = step(SINK, ME, born, order, 0)
    assert isinstance(outcome, Committed)
    return outcome.env


@pytest.mark.benchmark(group="codec")
def test_encode(benchmark: Benchmark) -> None:
    """A typed record to its 100 bytes."""
    assert benchmark(encode, RECORD) == PAYLOAD
    assert len(PAYLOAD) == 100


@pytest.mark.benchmark(group="codec")
def test_decode(benchmark: Benchmark) -> None:
    """100 bytes to the record, one of the types its mailbox accepts."""
    assert benchmark(SINK.boxes[0].decode, PAYLOAD) == RECORD


@pytest.mark.benchmark(group="codec, 64 records")
def test_encode_a_batch(benchmark: Benchmark) -> None:
    """64 records as one message."""
    assert len(benchmark(encode, RECORDS)) > 64 * 90


@pytest.mark.benchmark(group="codec, 64 records")
def test_decode_a_batch(benchmark: Benchmark) -> None:
    """The same message, one of the types its mailbox accepts."""
    assert benchmark(UNLOADER.boxes[0].decode, encode(RECORDS)) == RECORDS


@pytest.mark.benchmark(group="transition")
def test_guard(benchmark: Benchmark) -> None:
    """A guard, called as `step` calls it, with the trigger made for it."""
    params, born = Limit(requests=1, window_ns=1, key=b"k" * 32), birth(SERVER, LIMITED, now_ns=0)

    def guard() -> Recent | None:
        return within_limit(Arrived(REQUEST, "cli", 0, 5, params, born, LIMITED))

    assert benchmark(guard) == Recent((5,))


@pytest.mark.benchmark(group="transition")
def test_step(benchmark: Benchmark, counting: Environment[Tally]) -> None:
    """A whole transition whose first guard holds: trigger, guard, action, new environment."""
    outcome = benchmark(step, SINK, ME, counting, ARRIVED, 5)
    assert (outcome.env.state.left, outcome.outputs, outcome.labels) == (999_999, (), ("counted",))


@pytest.mark.benchmark(group="transition")
def test_step_to_the_second_rule(benchmark: Benchmark) -> None:
    """A transition whose first guard says no: what one more candidate costs."""
    born = birth(SERVER, LIMITED, now_ns=0)
    outcome = benchmark(step, SERVER, LIMITED, born, Delivery("cli", 0, REQUEST), 5)
    assert (outcome.env.state, outcome.labels) == (Issued(), ("refuse",))


@pytest.mark.benchmark(group="transition")
def test_step_that_sends(benchmark: Benchmark) -> None:
    """A transition that leaves the state as it is and sends a message on."""
    token, place = Token(2, 9, 0, Ref("cli")), Place(Ref("next"))
    me = Configuration("node", "runner", None, place)
    outcome = benchmark(step, RUNNER, me, birth(RUNNER, me, now_ns=0), Delivery("before", 0, token), 5)
    assert outcome.outputs == (Outgoing("next", 0, Token(1, 9, 0, Ref("cli"))),)


@pytest.mark.benchmark(group="frames of 64")
def test_frame_encode(benchmark: Benchmark) -> None:
    """A frame in pure Python, as ZeroMQ links send it."""
    data = benchmark(encode_frame, _frame(), 0)
    assert decode_frame(data, 1, 0) == _frame()


@pytest.mark.benchmark(group="frames of 64")
def test_frame_decode(benchmark: Benchmark) -> None:
    """The same frame, every length and the checksum held against the bytes."""
    data = encode_frame(_frame(), 0)
    assert benchmark(decode_frame, data, 1, 0) == _frame()


@pytest.fixture
def lane() -> Iterator[tuple[Any, Any]]:
    """Both ends of a lane in this process: the producer's link and the consumer's."""
    if not native_available():
        pytest.skip("no native lane here")
    from transport.lanes import LaneLink, create_slot

    slots = {1: create_slot(LANE_BYTES), 2: create_slot(LANE_BYTES)}
    links = []
    for own, peer in ((1, 2), (2, 1)):
        out, into, doorbell = map(os.dup, slots[own])
        links.append(LaneLink(own, out, into, doorbell))
        out, into, doorbell = map(os.dup, slots[peer])
        links[-1].attach(peer, out, into, doorbell)
    yield links[0], links[1]
    for link in links:
        link.close()
    for fd in (*slots[1], *slots[2]):
        os.close(fd)


@pytest.mark.benchmark(group="lane, 64 messages")
def test_lane_push_and_pop(benchmark: Benchmark, lane: tuple[Any, Any]) -> None:
    """64 single pushes, one flush, one drain to bytes, one release; nobody sleeps and nobody is rung."""
    producer, consumer = lane
    outlet = producer.outlet(2, "source", "sink", 0, 1, 1)

    def there_and_out() -> list[bytes]:
        for _ in range(BATCH):
            outlet.send(PAYLOAD)
        producer.flush()
        payloads = [payload for frame in consumer.drain(BATCH) for payload in frame[-1]]
        consumer.release()
        return payloads

    assert benchmark(there_and_out) == [PAYLOAD] * BATCH


@pytest.mark.benchmark(group="lane, 64 messages")
def test_lane_push(benchmark: Benchmark, lane: tuple[Any, Any]) -> None:
    """64 single pushes and a flush, into a lane with room."""
    producer, consumer = lane
    outlet = producer.outlet(2, "source", "sink", 0, 1, 1)

    def push() -> Any:
        sent = sum([outlet.send(PAYLOAD) for _ in range(BATCH)])
        producer.flush()
        return sent

    assert benchmark.pedantic(push, setup=lambda: _emptied(consumer), rounds=ROUNDS) == BATCH


@pytest.mark.benchmark(group="lane, 64 messages")
def test_lane_pop(benchmark: Benchmark, lane: tuple[Any, Any]) -> None:
    """One drain of 64 messages to bytes, and one release."""
    producer, consumer = lane
    outlet = producer.outlet(2, "source", "sink", 0, 1, 1)

    def fill() -> None:
        for _ in range(BATCH):
            outlet.send(PAYLOAD)
        producer.flush()

    assert benchmark.pedantic(_emptied, args=(consumer,), setup=fill, rounds=ROUNDS) is None
    assert consumer.counters()["messages_in"] % BATCH == 0


def _emptied(consumer: Any) -> None:
    """Take what is there and let it go."""
    while consumer.drain(BATCH):
        consumer.release()


def _frame() -> Frame:
    return Frame(1, KIND_MESSAGES, "source", "sink", 0, 1, 1, [PAYLOAD] * BATCH)
