"""An engine's mail that is in its log and not yet handled, by stream, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from host.node.snapshot import BatchImage


class Waiting:
    """Mail of one frame; message `i` of `payloads` has number `first_n + i`."""

    __slots__ = ("arrival", "epoch", "first_n", "payloads")

    def __init__(self, arrival: int, epoch: int, first_n: int, payloads: list[Any]) -> None:
        self.arrival = arrival
        self.epoch = epoch
        self.first_n = first_n
        self.payloads = payloads


class WaitingMail:
    """Mutable, one an engine."""

    __slots__ = ("_streams",)

    def __init__(self, images: Iterable[BatchImage]) -> None:
        self._streams: dict[tuple[str, int], deque[Waiting]] = {}
        for one in images:
            self.add(one.arrival, one.sender, one.mailbox, one.epoch, one.first_n, list(one.payloads))

    @property
    def count(self) -> int:
        """Waiting messages."""
        return sum(len(one.payloads) for queue in self._streams.values() for one in queue)

    def add(self, arrival: int, sender: str, mailbox: int, epoch: int, first_n: int, payloads: list[Any]) -> None:
        """Add new mail."""
        self._streams.setdefault((sender, mailbox), deque()).append(Waiting(arrival, epoch, first_n, payloads))

    def take(self, sender: str, mailbox: int, epoch: int, n: int, most: int) -> list[Any] | None:
        """Take at most `most` waiting messages from number `n` on; None when message `n` does not wait."""
        queue = self._streams.get((sender, mailbox))
        if queue is None:
            return None
        for place, waits in enumerate(queue):
            at = n - waits.first_n
            if waits.epoch == epoch and 0 <= at < len(waits.payloads):
                return _take_of(queue, place, at, most)
        return None

    def find(self, sender: str, mailbox: int, epoch: int, n: int) -> bytes | None:
        """Message number `n`, left in place; None when it does not wait."""
        for waits in self._streams.get((sender, mailbox), ()):
            at = n - waits.first_n
            if waits.epoch == epoch and 0 <= at < len(waits.payloads):
                return bytes(waits.payloads[at])
        return None

    def images(self) -> list[BatchImage]:
        """All waiting mail, in order of arrival."""
        found = [
            BatchImage(one.arrival, mailbox, sender, one.epoch, one.first_n, [bytes(each) for each in one.payloads])
            for (sender, mailbox), waiting in self._streams.items()
            for one in waiting
        ]
        return sorted(found, key=lambda image: image.arrival)


def _take_of(queue: deque[Waiting], place: int, at: int, most: int) -> list[Any]:
    waits = queue[place]
    payloads = waits.payloads
    taken = payloads[at : at + most] if at or most < len(payloads) else payloads
    end = at + len(taken)
    del queue[place]
    if end < len(payloads):
        queue.insert(place, Waiting(waits.arrival, waits.epoch, waits.first_n + end, payloads[end:]))
    if at:
        queue.insert(place, Waiting(waits.arrival, waits.epoch, waits.first_n, payloads[:at]))
    return taken
