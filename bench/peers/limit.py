"""The raw limit: this project's lane core with nothing on top.

One push per record into the lane, pop to bytes, decode of the union, a bare handler. No engine, no mailbox, no `step`:
the difference from the engine host is the price of the model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bench.rounds import Contestant, Round, Unavailable
from bench.topologies import End, Payload, Send, Weave
from transport.native import native_available, native_reason
from transport.port import LANE_BYTES

if TYPE_CHECKING:
    from transport.lanes import LaneLink

DRAIN_MAX: Final = 1024
RETRY_NS: Final = 100_000_000
"""Bound of a sender's wait for room; the receiver rings its doorbell much earlier."""

Fds = tuple[int, int, int]


def contestant(run: Callable[[Weave], Round], peer: str = "limit") -> Contestant:
    """The limit in a topology; unavailable without the native core."""

    def checked() -> Round:
        if not native_available():
            raise Unavailable(f"no native lane: {native_reason()}")
        return run(weave)

    return Contestant(peer, checked, wait="adaptive")


@contextmanager
def weave(ways: Sequence[tuple[int, int]]) -> Iterator[Lanes]:
    """A slot for each place: slot n + 1 for place n."""
    from transport.lanes import create_slot

    slots = [create_slot(LANE_BYTES) for _ in range(1 + max(max(way) for way in ways))]
    try:
        yield Lanes(slots, ways)
    finally:
        for fds in slots:
            for fd in fds:
                os.close(fd)


class Lanes:
    """The slots of one round."""

    def __init__(self, slots: list[Fds], ways: Sequence[tuple[int, int]]) -> None:
        self._slots, self._ways = slots, ways

    def join(self, place: int) -> End:
        """The link of a place, attached to the places of its ways."""
        from transport.lanes import LaneLink

        out_fd, in_fd, doorbell_fd = map(os.dup, self._slots[place])
        link = LaneLink(place + 1, out_fd, in_fd, doorbell_fd)
        for peer in sorted({there for way in self._ways if place in way for there in way if there != place}):
            link.attach(peer + 1, *map(os.dup, self._slots[peer]))
        return LaneEnd(link)


class LaneEnd:
    """A place's link."""

    def __init__(self, link: LaneLink) -> None:
        self._link = link
        self.flush, self.release, self.close = link.flush, link.release, link.close

    def outlet(self, place: int) -> Send:
        """Pushes into the lane to a place."""
        send: Send = self._link.outlet(place + 1, "source", "sink", 0, 1, 1).send
        return send

    def wait_for_room(self) -> None:
        """Wait until the lane is half free."""
        self._link.wait(RETRY_NS)

    def drain(self) -> Sequence[Sequence[Payload]]:
        """The payloads of all frames that have arrived; yields and then sleeps until there are any."""
        while not (frames := self._link.drain(DRAIN_MAX)):
            self._link.wait(None)
        return [frame.payloads for frame in frames]
