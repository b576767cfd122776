"""Topologies (senders and receivers) for all peers that only move bytes: one definition, so all do the same work.

A peer provides a `Fabric`, shared by the processes of one round; a process joins it as an `End`. This module does the
rest: it encodes records one by one with msgspec, decodes them into a union of types, and handles them with the bare
handler (`bench.record`); a receiving process forwards messages itself. `send` and `decode` are called as directly as in
a hand-written program.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import msgspec

from bench.places import Begin, Work, run_places
from bench.record import BATCH, BATCH_RECORDS, RECORD, Counter, batch_decoder, decoder, encoder
from bench.rounds import Round
from engines.benchmark.ring import Token
from engines.model import Ref

Send = Callable[[bytes], object]
"""Sends one message. Only the result `False` means that there was no room and nothing was sent."""


Payload = bytes | memoryview
"""A message as it arrived; a large one may be in the sender's memory until `release`."""


class End(Protocol):
    """One process's end of a fabric."""

    def outlet(self, place: int) -> Send:
        """A function that sends to a place."""

    def wait_for_room(self) -> None:
        """After a refused send, wait until another try is worthwhile."""

    def flush(self) -> None:
        """Put everything sent so far on its way."""

    def drain(self) -> Iterable[Sequence[Payload]]:
        """Messages that have arrived; waits, in the way of this peer, until there is one."""

    def release(self) -> None:
        """Release the drained messages, which are handled."""

    def close(self) -> None:
        """Leave; no other place needs this end any more."""


class Fabric(Protocol):
    """The shared part of one round, made before its processes are forked."""

    def join(self, place: int) -> End:
        """The end of a place, in its own process."""


Weave = Callable[[Sequence[tuple[int, int]]], AbstractContextManager[Fabric]]
"""Makes a fabric for these (sender, receiver) pairs of places."""

_token_decoder: Final = msgspec.msgpack.Decoder(Token)


def stream(weave: Weave, records: int, senders: int = 1, receivers: int = 1) -> Round:
    """Records per second from `senders` to `receivers`, each record to one of them, in turn.

    The clock runs from the common start signal to the last record. Starting it at the first record would ignore records
    that piled up before their receiver ran.
    """
    sending = range(receivers, receivers + senders)
    with weave([(sender, receiver) for sender in sending for receiver in range(receivers)]) as fabric:
        each = records // (senders * receivers)
        takers = [_taker(fabric, place, each * senders) for place in range(receivers)]
        givers = [_giver(fabric, place, range(receivers), each) for place in sending]
        told = run_places([*takers, *givers])[:receivers]
    count = sum(taken for _, _, taken in told)
    return Round(count * 1e9 / (max(last for _, last, _ in told) - min(first for first, _, _ in told)), count)


def batches(weave: Weave, records: int) -> Round:
    """Records per second, with BATCH_RECORDS of them in one message."""
    with weave([(1, 0)]) as fabric:
        count = records // BATCH_RECORDS
        [(first, last, taken), _] = run_places(
            [_taker(fabric, 0, count * BATCH_RECORDS, batched=True), _giver(fabric, 1, [0], count, batched=True)]
        )
    return Round(taken * 1e9 / (last - first), taken)


def pipeline(weave: Weave, records: int, hops: int) -> Round:
    """Records per second through `hops` links; each process decodes, counts, and encodes again."""
    with weave([(place + 1, place) for place in range(hops)]) as fabric:
        relays = [_relay(fabric, place, records) for place in range(1, hops)]
        works = [_taker(fabric, 0, records), *relays, _giver(fabric, hops, [hops - 1], records)]
        first, last, taken = run_places(works)[0]
    return Round(taken * 1e9 / (last - first), taken)


def ring(weave: Weave, places: int, hops: int) -> Round:
    """Hops per second of a token in a ring."""
    laps = max(hops // places, 1)
    taken_ns = _laps(weave, places, laps)
    return Round(laps * places * 1e9 / sum(taken_ns), laps * places)


def pingpong(weave: Weave, round_trips: int) -> Round:
    """Median nanoseconds of a round trip between two processes."""
    taken_ns = _laps(weave, 2, round_trips)
    return Round(sorted(taken_ns)[len(taken_ns) // 2], len(taken_ns), taken_ns)


def _taker(fabric: Fabric, place: int, count: int, batched: bool = False) -> Work:
    def work(begin: Begin) -> Sequence[int]:
        end, counter = fabric.join(place), Counter()
        decode: Callable[[Payload], Any] = batch_decoder.decode if batched else decoder.decode
        handle: Callable[[Any], None] = counter.handle_batch if batched else counter.handle
        begin()
        began_ns = time.monotonic_ns()
        while counter.count < count:
            for payloads in end.drain():
                for payload in payloads:
                    handle(decode(payload))
            end.release()
        return began_ns, time.monotonic_ns(), counter.count

    return work


def _giver(fabric: Fabric, place: int, targets: Iterable[int], each: int, batched: bool = False) -> Work:
    def work(begin: Begin) -> Sequence[int]:
        end = fabric.join(place)
        sends, encode, message = (
            [end.outlet(target) for target in targets],
            encoder.encode,
            BATCH if batched else RECORD,
        )
        begin()
        for _ in range(each):
            for send in sends:
                payload = encode(message)
                while send(payload) is False:
                    end.flush()
                    end.wait_for_room()
        end.flush()
        return ()

    return work


def _relay(fabric: Fabric, place: int, count: int) -> Work:
    def work(begin: Begin) -> Sequence[int]:
        end, counter = fabric.join(place), Counter()
        send, encode, decode, handle = end.outlet(place - 1), encoder.encode, decoder.decode, counter.handle
        begin()
        while counter.count < count:
            for payloads in end.drain():
                for payload in payloads:
                    record = decode(payload)
                    handle(record)
                    onward = encode(record)
                    while send(onward) is False:
                        end.flush()
                        end.wait_for_room()
            end.release()
            end.flush()
        return ()

    return work


def _laps(weave: Weave, places: int, laps: int) -> Sequence[int]:
    """Nanoseconds of each lap of a token, as its first place sees them."""
    with weave([(place, (place + 1) % places) for place in range(places)]) as fabric:
        runners = [_runner(fabric, place, places, laps) for place in range(1, places)]
        return run_places([_starter(fabric, places, laps), *runners])[0]


def _starter(fabric: Fabric, places: int, laps: int) -> Work:
    def work(begin: Begin) -> Sequence[int]:
        end = fabric.join(0)
        send, encode, taken_ns = end.outlet(1 % places), encoder.encode, []
        begin()
        token = Token(laps, laps * places, 0, Ref("listener"))
        for _ in range(laps):
            sent_ns = time.monotonic_ns()
            send(encode(token))
            end.flush()
            token = _one(end)
            taken_ns.append(time.monotonic_ns() - sent_ns)
        return taken_ns

    return work


def _runner(fabric: Fabric, place: int, places: int, laps: int) -> Work:
    def work(begin: Begin) -> Sequence[int]:
        end = fabric.join(place)
        send, encode = end.outlet((place + 1) % places), encoder.encode
        begin()
        for _ in range(laps):
            token = _one(end)
            send(encode(Token(token.left - 1, token.hops, token.began_ns, token.listener)))
            end.flush()
        return ()

    return work


def _one(end: End) -> Token:
    """Wait for the token."""
    while True:
        for payloads in end.drain():
            for payload in payloads:
                token = _token_decoder.decode(payload)
                end.release()
                return token
